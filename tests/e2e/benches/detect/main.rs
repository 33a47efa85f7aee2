//! `make bench-detect DATA=folder`: what detection finds and how fast it is, through SQL in a real PostgreSQL.
//!
//! Every file below `DATA/nab/data` and below `DATA/skab` is judged, with one setting for all of a benchmark; the results lie
//! below `target/bench/nab` and `target/bench/skab` in the layouts that scorers of the Numenta and of the Skoltech Anomaly
//! Benchmark read. The figures are printed and written to `target/bench/detect.json`.

mod joint_speed;
mod nab;
mod report;
mod skab;
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
    let mut figures = skab::figures(&database, &data, Path::new("skab/strata"));
    figures.extend(speed::figures(&database));
    figures.extend(joint_speed::figures(&database));
    report::print_and_write("detect.json", &figures);
}
