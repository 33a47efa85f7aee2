//! docs/detection.md tells the truth: its statements run, and what it shows is what they print.

use std::io::{Seek, Write};
use std::process::Command;

use series::detect::Method;
use strata_e2e::{Database, postgres as server, tools};
use strata_servers::paths;

/// A block of SQL and, where the next block shows it, its output.
struct Example {
    sql: String,
    output: Option<String>,
}

fn document() -> String {
    std::fs::read_to_string(paths::project().join("docs/detection.md")).unwrap()
}

fn examples(document: &str) -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    for (i, block) in document.split("```").enumerate().filter(|(i, _)| i % 2 == 1) {
        match block.split_once('\n').unwrap() {
            ("sql", sql) => examples.push(Example { sql: sql.to_owned(), output: None }),
            ("text", output) => examples.last_mut().unwrap().output = Some(output.to_owned()),
            (language, _) => panic!("block {i} is of {language:?}, which is not run"),
        }
    }
    examples
}

/// What psql prints, where files that it writes go to `/tmp` of the server's root.
fn psql(database: &Database, sql: &str) -> String {
    let mut script = tempfile(&paths::target().join("tmp"));
    writeln!(script, "\\cd /tmp\n\\pset footer off\n{sql}").unwrap();
    script.rewind().unwrap();
    let mut psql: Command = tools::program(server(), "psql", &database.name);
    let output = psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1"]).env("PGTZ", "UTC").stdin(script).output().unwrap();
    assert!(output.status.success(), "{sql}\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A file without a name.
fn tempfile(folder: &std::path::Path) -> std::fs::File {
    std::fs::create_dir_all(folder).unwrap();
    let path = folder.join(format!("example-{}-{:?}", std::process::id(), std::thread::current().id()));
    let file = std::fs::File::options().create_new(true).read(true).write(true).open(&path).unwrap();
    std::fs::remove_file(path).unwrap();
    file
}

fn lines(text: &str) -> Vec<&str> {
    text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect()
}

#[test]
fn the_examples_print_what_is_shown() {
    let database = Database::create(server());
    let examples = examples(&document());
    assert!(examples.iter().filter(|example| example.output.is_some()).count() >= 7);
    let mut wrong = String::new();
    for Example { sql, output } in examples {
        let printed = psql(&database, &sql);
        if output.is_some_and(|output| lines(&output) != lines(&printed)) {
            wrong += &format!("{sql}\n```text\n{printed}```\n");
        }
    }
    assert!(wrong.is_empty(), "these print something else:\n{wrong}");
    let picture = server().root().join("tmp/flow.svg");
    let svg = std::fs::read_to_string(&picture).unwrap();
    std::fs::remove_file(picture).unwrap();
    assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"));
}

#[test]
fn every_method_is_described() {
    let document = document();
    for method in Method::ALL {
        assert!(document.contains(&format!("| `{method}` |")), "{method} is missing in docs/detection.md");
    }
}
