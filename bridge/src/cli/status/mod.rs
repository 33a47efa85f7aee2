//! `strata status`: what Redis and PostgreSQL hold and whether all is well.

mod pg_connect;
mod pg_pass;
mod postgres_part;
mod redis_part;

use std::process::ExitCode;

use super::args::StatusArgs;
use super::failure::{FAILED, Failure};

/// Prints both halves. A half that cannot be had is an error on stderr and does not keep the other one away.
pub fn run(args: &StatusArgs) -> Result<ExitCode, Failure> {
    let mut code = ExitCode::SUCCESS;
    let mut show = |half: Result<(), Failure>| {
        if let Err(failure) = half {
            eprintln!("{failure}");
            code = FAILED.into();
        }
    };
    show(redis_part::print(&args.redis));
    println!();
    show(postgres_part::print(args.pg.as_deref()));
    Ok(code)
}
