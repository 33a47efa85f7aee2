//! `make bench-detect DATA=folder`: what detection finds and how fast it is, through SQL in a real PostgreSQL.
//!
//! Every file below `DATA/nab/data` is judged, with one setting for all; the results lie below `target/bench/nab` in the
//! layout that scorers of the Numenta Anomaly Benchmark read. The figures are printed and written to
//! `target/bench/detect.json`.

mod nab;
mod report;
mod speed;

use std::env;
use std::path::{Path, PathBuf};

use strata_e2e::{Database, stack};
use strata_servers::paths;

fn main() {
    let data = env::var_os("DATA").map_or_else(|| paths::project().join("tests/data"), PathBuf::from);
    let server = stack::builder().durable(false).start().expect("PostgreSQL starts");
    let database = Database::create(&server);
    let judged = nab::judge(&database, &data, Path::new("nab/strata"));
    println!("NAB: {} files, {} readings judged, below {}", judged.files, judged.readings, judged.folder.display());
    report::print_and_write("detect.json", &speed::figures(&database));
}
