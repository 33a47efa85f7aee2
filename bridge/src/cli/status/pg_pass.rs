//! The password file of PostgreSQL clients (`~/.pgpass`).

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// `PGPASSFILE`, or `~/.pgpass`.
pub fn default_path() -> Option<PathBuf> {
    std::env::var_os("PGPASSFILE")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".pgpass")))
}

/// The password of the first line that fits, as libpq would find it: a file that others may read is not used.
pub fn find(path: &Path, host: &str, port: u16, database: &str, user: &str) -> Option<String> {
    let metadata = std::fs::metadata(path).ok()?;
    if !metadata.is_file() || metadata.permissions().mode() & 0o077 != 0 {
        return None;
    }
    let text = std::fs::read_to_string(path).ok()?;
    let wanted = [host, &port.to_string(), database, user];
    text.lines().find_map(|line| {
        let fields = split(line)?;
        let fits = fields.iter().zip(wanted).all(|(field, wanted)| field == "*" || field == wanted);
        fits.then(|| fields[4].clone())
    })
}

/// Five fields separated by colons; a backslash protects the next character.
fn split(line: &str) -> Option<[String; 5]> {
    if line.starts_with('#') {
        return None;
    }
    let mut fields: Vec<String> = vec![String::new()];
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        let last = fields.len() - 1;
        match character {
            '\\' => fields[last].extend(characters.next()),
            ':' if fields.len() < 5 => fields.push(String::new()),
            other => fields[last].push(other),
        }
    }
    fields.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_file<T>(mode: u32, test: impl FnOnce(&Path) -> T) -> T {
        let path = std::env::temp_dir().join(format!("strata-pgpass-{}-{mode}", std::process::id()));
        std::fs::write(&path, "# comment\nother:5432:db:ann:no\nhost:*:*:ann:s3\\:cret\n*:*:*:*:any\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let result = test(&path);
        std::fs::remove_file(path).unwrap();
        result
    }

    #[test]
    fn the_first_line_that_fits_wins() {
        with_file(0o600, |path| {
            assert_eq!(find(path, "host", 5433, "db", "ann").as_deref(), Some("s3:cret"));
            assert_eq!(find(path, "host", 5433, "db", "bob").as_deref(), Some("any"));
        });
    }

    #[test]
    fn a_file_that_others_may_read_is_not_used() {
        with_file(0o644, |path| assert_eq!(find(path, "host", 5433, "db", "ann"), None));
    }
}
