//! The demonstration: the main job of Strata on real data, with real servers of its own.
//!
//!     strata-demo            runs it; the servers stay up
//!     strata-demo stop       stops them
//!     strata-demo status     says what runs
//!
//! A run starts from a clean database, so that the totals it prints are true; it uses servers that still run.

mod data;
mod database;
mod history;
mod report;
mod score;
mod stack;
mod steps;
mod table;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result};
use bridge::hot::{HotClient, HotConfig};
use bridge::wait::BlockingWait;
use series::time::{MICROS_PER_MINUTE, bucket_start};
use strata_demo::nab;
use strata_demo::water_network::{NODES, Network};

use data::Source;
use history::History;
use report::{count, heading};
use stack::Stack;
use steps::{archive, ask, copy, detection, finish, import, insert, jobs, schema, sensors};

fn main() -> ExitCode {
    let command = std::env::args().nth(1);
    let result = match command.as_deref() {
        None | Some("run") => run(),
        Some("stop") => stop(),
        Some("status") => status(),
        Some(_) => {
            eprintln!("usage: strata-demo [run | stop | status]");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("strata-demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let started = Instant::now();
    finish::forget_env()?;
    heading("A private stack: its data below target/, ports of its own");
    let stack = Stack::start()?;
    let history = History::new(&stack.bigquery);
    report::step("a clean start", |_| {
        database::recreate(&stack.postgres)?;
        redis::cmd("FLUSHALL").exec(&mut stack.redis.connection()?)?;
        history.reset()?;
        Ok(format!("database {} is new, Redis and BigQuery are empty", database::NAME))
    })?;
    let mut client = database::connect(&stack.postgres)?;
    let mut watcher = database::connect(&stack.postgres)?;
    let wait = BlockingWait::new()?;
    let hot = HotClient::new(HotConfig::new(stack.redis.url()))?;

    heading("1. The schema");
    schema::create(&stack, &mut client)?;

    heading("2. Two sources of data, on three ways");
    let end = bucket_start(chrono::Utc::now().timestamp_micros(), 5 * MICROS_PER_MINUTE);
    let (network, corpus, sources) = make_data(end)?;
    import::run(&history, &mut client, &sources)?;
    copy::run(&mut client, &sources)?;
    sensors::last_day(&wait, &hot, &sources)?;
    insert::run(&mut client, &sources)?;

    heading("3. The jobs");
    jobs::flush(&mut client)?;
    jobs::rollup(&mut client, &mut watcher)?;
    detection::run(&mut client, &network, &corpus, &sources, end)?;
    archive::run(&mut client, &mut watcher, &sources)?;
    sensors::last_half_hour(&wait, &hot, &sources)?;

    heading("4. One query over three tiers");
    for source in &sources {
        ask::totals(&mut client, source)?;
    }
    ask::rows_per_tier(&mut client, &sources[0])?;
    ask::daily(&mut client, &sources[0], NODES[0].id)?;
    ask::latest(&mut client)?;
    ask::open_anomalies(&mut client)?;
    ask::events(&mut client, &sources[0])?;
    ask::picture(&mut client, &sources[0], "NODE_010", "flow_rate")?;
    finish::resume_jobs(&mut client)?;
    ask::health(&mut client)?;

    finish::write_env(&stack, &sources[0], &sources[1])?;
    heading(&format!("5. Done in {:.0} s", started.elapsed().as_secs_f64()));
    finish::print_how_to_connect(&stack);
    Ok(())
}

fn make_data(end: i64) -> Result<(Network, Vec<nab::Series>, [Source; 2])> {
    let (mut simulated, mut real) = (None, None);
    report::step("a simulated water network", |_| {
        let network = Network::simulate(end);
        let source = data::water(&network, end);
        let text = format!(
            "{} readings of {} nodes, {} events at known times",
            count(source.rows.len()),
            NODES.len(),
            network.events.len()
        );
        simulated = Some((network, source));
        Ok(text)
    })?;
    report::step("real measurements (NAB)", |_| {
        let corpus = nab::load(&nab::folder(), end)?;
        let source = data::measurements(&corpus, end);
        let windows: usize = corpus.iter().map(|series| series.windows.len()).sum();
        let repeated = corpus.iter().map(|series| series.rows_in_file).sum::<usize>() - source.rows.len();
        let text = format!(
            "{} measurements of {} series, {windows} labelled anomalies; {repeated} repeated times count once",
            count(source.rows.len()),
            corpus.len()
        );
        real = Some((corpus, source));
        Ok(text)
    })?;
    let ((network, water), (corpus, measurements)) = simulated.zip(real).context("the data")?;
    Ok((network, corpus, [water, measurements]))
}

fn stop() -> Result<()> {
    Stack::find()?.stop()?;
    finish::forget_env()
}

fn status() -> Result<()> {
    let stack = Stack::find()?;
    let state = |running: bool| if running { "runs" } else { "is stopped" };
    println!("PostgreSQL 17 {} (port {})", state(stack.postgres.is_running()), stack.postgres.port());
    println!("Redis 8 {} (port {})", state(stack.redis.is_running()), stack.redis.port());
    println!("BigQuery emulator {} ({})", state(stack.bigquery.is_running()), stack.bigquery.endpoint());
    if finish::env_file().exists() {
        finish::print_how_to_connect(&stack);
    }
    Ok(())
}
