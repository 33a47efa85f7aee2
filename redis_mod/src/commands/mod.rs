//! The STRATA.* commands, one file each.

pub mod ack;
pub mod add;
mod aggregates;
mod alarm;
pub mod anomalies;
pub mod arguments;
pub mod del;
pub mod fill;
mod flush_token;
pub mod get;
pub mod info;
pub mod load;
pub mod madd;
pub mod mget;
mod options;
pub mod pending;
pub mod put;
pub mod range;
mod register;
mod retention;
pub mod roll;
mod sample;
pub mod source;
mod source_keys;
pub mod spec;
mod states;
pub mod trim;
pub mod watch;
pub mod watches;

use crate::api::Ctx;

/// Registers all commands; false if the server refuses one.
pub fn register(ctx: Ctx) -> bool {
    register::category(ctx);
    register::command::<add::Add>(ctx)
        && register::command::<madd::Madd>(ctx)
        && register::command::<get::Get>(ctx)
        && register::command::<mget::Mget>(ctx)
        && register::command::<range::Range>(ctx)
        && register::command::<roll::Roll>(ctx)
        && register::command::<source::Source>(ctx)
        && register::command::<pending::PendingCommand>(ctx)
        && register::command::<ack::Ack>(ctx)
        && register::command::<del::Del>(ctx)
        && register::command::<trim::Trim>(ctx)
        && register::command::<info::Info>(ctx)
        && register::command::<watch::WatchCommand>(ctx)
        && register::command::<watches::WatchesCommand>(ctx)
        && register::command::<anomalies::Anomalies>(ctx)
        && register::command::<fill::Fill>(ctx)
        && register::command::<load::Load>(ctx)
        && register::command::<put::Put>(ctx)
}
