//! The pages of the commands: every example gives the reply that is printed there, every command has a page, and every link
//! leads somewhere.
//!
//! An example is a line `> COMMAND` in an indented block, with the reply below it as `redis-cli` prints it. A word in angle
//! brackets stands for what depends on the clock or the server; in a later command it stands for what it was last.

mod redis_support;

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use redis::{ConnectionLike, RedisError, Value};
use redis_support::{Client, builder};

fn pages() -> Vec<PathBuf> {
    let folder = strata_servers::paths::project().join("docs/redis");
    let mut pages: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    pages.retain(|page| page.extension().is_some_and(|extension| extension == "md"));
    pages.sort();
    pages
}

struct Example {
    line: usize,
    command: String,
    reply: Vec<String>,
}

fn examples(page: &str) -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    let mut inside = false;
    for (number, line) in (1..).zip(page.lines()) {
        let Some(code) = line.strip_prefix("    ") else {
            inside = false;
            continue;
        };
        if let Some(command) = code.strip_prefix("> ") {
            examples.push(Example { line: number, command: command.to_owned(), reply: Vec::new() });
            inside = true;
        } else if let Some(example) = examples.last_mut().filter(|_| inside) {
            example.reply.push(code.to_owned());
        }
    }
    examples
}

/// The words of a line as redis-cli reads them.
fn words(line: &str) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut bytes = line.bytes().peekable();
    loop {
        while bytes.next_if_eq(&b' ').is_some() {}
        let mut word = Vec::new();
        match bytes.peek() {
            None => return words,
            Some(b'"') => {
                bytes.next();
                loop {
                    match bytes.next().expect("a closing quote") {
                        b'"' => break,
                        b'\\' => word.push(match bytes.next().expect("an escape") {
                            b'x' => {
                                let digits = [bytes.next().unwrap(), bytes.next().unwrap()];
                                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
                            }
                            b'n' => b'\n',
                            b'r' => b'\r',
                            b't' => b'\t',
                            b'a' => 7,
                            b'b' => 8,
                            other => other,
                        }),
                        other => word.push(other),
                    }
                }
            }
            Some(_) => {
                while let Some(byte) = bytes.next_if(|&byte| byte != b' ') {
                    word.push(byte);
                }
            }
        }
        words.push(word);
    }
}

/// A reply as redis-cli prints it; lines after the first are indented by `margin`.
fn print(value: &Value, margin: &str) -> String {
    match value {
        Value::Nil => "(nil)".to_owned(),
        Value::Int(number) => format!("(integer) {number}"),
        Value::Okay => "OK".to_owned(),
        Value::SimpleString(text) => text.clone(),
        Value::BulkString(bytes) => quoted(bytes),
        Value::ServerError(error) => {
            let error = RedisError::from(error.clone());
            format!("(error) {} {}", error.code().unwrap_or_default(), error.detail().unwrap_or_default())
        }
        Value::Array(items) if items.is_empty() => "(empty array)".to_owned(),
        Value::Array(items) => {
            let width = items.len().to_string().len();
            let deeper = format!("{margin}{:width$}  ", "");
            let mut out = String::new();
            for (index, item) in (1..).zip(items) {
                let lead = if index == 1 { "" } else { margin };
                writeln!(out, "{lead}{index:width$}) {}", print(item, &deeper)).unwrap();
            }
            out.trim_end_matches('\n').to_owned()
        }
        other => panic!("{other:?} is not in any example"),
    }
}

fn quoted(bytes: &[u8]) -> String {
    let mut out = String::from("\"");
    for &byte in bytes {
        match byte {
            b'\\' | b'"' => write!(out, "\\{}", byte as char),
            b'\n' => write!(out, "\\n"),
            b'\r' => write!(out, "\\r"),
            b'\t' => write!(out, "\\t"),
            7 => write!(out, "\\a"),
            8 => write!(out, "\\b"),
            b' '..=b'~' => write!(out, "{}", byte as char),
            other => write!(out, "\\x{other:02x}"),
        }
        .unwrap();
    }
    out + "\""
}

/// Compares line by line; a word in angle brackets takes what is in its place.
fn matches(documented: &str, actual: &str, known: &mut HashMap<String, String>) -> bool {
    if documented == actual {
        return true;
    }
    let Some((before, rest)) = documented.split_once('<') else { return false };
    let Some((name, after)) = rest.split_once('>') else { return false };
    let value = actual.strip_prefix(before).and_then(|actual| actual.strip_suffix(after));
    match value {
        Some(value) if !value.is_empty() => {
            known.insert(format!("<{name}>"), value.to_owned());
            true
        }
        _ => false,
    }
}

#[test]
fn every_example_gives_the_reply_that_is_printed() {
    let (mut checked, mut wrong) = (0, String::new());
    for page in pages() {
        let server = builder().start().unwrap();
        let mut redis = Client::new(&server);
        let mut known = HashMap::new();
        let name = page.file_name().unwrap().display();
        for Example { line, command, reply } in examples(&std::fs::read_to_string(&page).unwrap()) {
            let sent =
                known.iter().fold(command.clone(), |text, (name, value): (&String, &String)| text.replace(name, value));
            let mut request = redis::Cmd::new();
            for word in words(&sent) {
                request.arg(word);
            }
            let actual = print(&redis.connection.req_command(&request).unwrap(), "");
            let lines: Vec<&str> = actual.lines().collect();
            let same = lines.len() == reply.len()
                && reply.iter().zip(&lines).all(|(documented, actual)| matches(documented, actual, &mut known));
            if !same {
                writeln!(wrong, "{name}:{line}: {command}\n{}\nis in truth\n{actual}\n", reply.join("\n")).unwrap();
            }
            checked += 1;
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(checked > 60, "only {checked} examples");
}

#[test]
fn every_command_has_a_page_with_an_example_that_the_index_links() {
    let server = builder().start().unwrap();
    let mut redis = Client::new(&server);
    let listed = redis.run("COMMAND LIST FILTERBY MODULE strata").to_lowercase();
    let commands: BTreeSet<&str> = listed.trim_matches(['[', ']']).split(", ").collect();
    let index = std::fs::read_to_string(strata_servers::paths::project().join("docs/redis/commands.md")).unwrap();
    for command in commands {
        let file = format!("{}.md", command.strip_prefix("strata.").unwrap());
        let page = pages().into_iter().find(|page| page.ends_with(&file)).unwrap_or_else(|| panic!("no {file}"));
        let text = std::fs::read_to_string(page).unwrap();
        let title = command.to_uppercase();
        assert!(text.starts_with(&format!("# {title}\n\n    {title}")), "{file} begins with name and syntax");
        for heading in ["## Reply", "## Complexity", "## Errors", "## Examples"] {
            assert!(text.contains(heading), "{file} lacks {heading}");
        }
        let uses = examples(&text).iter().any(|example| example.command.starts_with(&title));
        assert!(uses, "{file} has no example of {title}");
        assert!(index.contains(&format!("[`{title}`]({file})")), "the index does not link {file}");
    }
}

/// Targets of the Markdown links of a text.
fn links(text: &str) -> Vec<&str> {
    text.match_indices("](").filter_map(|(at, _)| text[at + 2..].split_once(')')).map(|(target, _)| target).collect()
}

/// The anchors of a page's headings, as the usual renderers make them.
fn anchors(text: &str) -> BTreeSet<String> {
    let heading = |line: &str| line.starts_with('#').then(|| line.trim_start_matches('#').trim().to_lowercase());
    let kept = |text: String| text.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).collect::<String>();
    text.lines().filter_map(heading).map(|heading| kept(heading).replace(' ', "-")).collect()
}

#[test]
fn every_link_of_the_pages_leads_somewhere() {
    let project = strata_servers::paths::project();
    for page in pages().into_iter().chain([project.join("README.md")]) {
        let text = std::fs::read_to_string(&page).unwrap();
        for link in links(&text).into_iter().filter(|link| !link.contains("://")) {
            let (file, anchor) = link.split_once('#').map_or((link, None), |(file, anchor)| (file, Some(anchor)));
            let target = if file.is_empty() { page.clone() } else { page.parent().unwrap_or(Path::new("")).join(file) };
            assert!(target.exists(), "{}: {link}", page.display());
            if let Some(anchor) = anchor {
                let known = anchors(&std::fs::read_to_string(&target).unwrap());
                assert!(known.contains(anchor), "{}: {link} is none of {known:?}", page.display());
            }
        }
    }
}
