//! The page of the detectors lists the options that there are.

use std::collections::BTreeSet;

use series::detect::{AnyDetector, Method, OptionError, Options};

const PAGE: &str = include_str!("../../docs/detectors.md");

/// Names in backquotes in the first column of the option table of the method's section.
fn documented(method: Method) -> BTreeSet<String> {
    let heading = format!("## {method}\n");
    let section = PAGE.split(&heading).nth(1).unwrap_or_else(|| panic!("{method} has no section"));
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().skip_while(|line| !line.starts_with("|---")).skip(1);
    let cells = rows.take_while(|line| line.starts_with('|')).filter_map(|row| row.split('|').nth(1));
    cells.flat_map(|cell| cell.split('`').skip(1).step_by(2).map(str::to_owned)).collect()
}

fn known(method: Method) -> BTreeSet<String> {
    let options = Options::from_pairs([("no such option", "1")]).unwrap();
    match AnyDetector::new(method, &options) {
        Err(OptionError::Unknown { known, .. }) => known.split(", ").map(str::to_owned).collect(),
        other => panic!("{method}: {other:?}"),
    }
}

#[test]
fn every_method_has_a_section_with_its_options() {
    for method in Method::ALL {
        assert_eq!(documented(method), known(method), "{method}");
    }
}
