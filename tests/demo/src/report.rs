//! What the demo tells: a line per step with what happened and how long it took, and a progress bar meanwhile.

use std::fmt::Display;
use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};

/// A bar that lives shorter than this would only flicker.
const SHOWN_AFTER: Duration = Duration::from_millis(500);

/// A heading between steps.
pub fn heading(text: &str) {
    println!("\n{text}");
}

/// Runs one step, with a bar while it runs; then prints what it returns, with the time it took.
pub fn step<T: Display>(title: &str, run: impl FnOnce(&Progress) -> Result<T>) -> Result<()> {
    let progress = Progress::new(title);
    let result = run(&progress);
    let took = progress.started.elapsed().as_secs_f64();
    progress.bar.finish_and_clear();
    match result {
        Ok(text) => {
            println!("{took:>7.1} s  {title}: {text}");
            Ok(())
        }
        Err(error) => {
            println!("{took:>7.1} s  {title}: FAILED");
            Err(error)
        }
    }
}

/// How far a step is.
pub struct Progress {
    title: String,
    started: Instant,
    bar: ProgressBar,
}

impl Progress {
    fn new(title: &str) -> Self {
        let bar = ProgressBar::new_spinner().with_message(title.to_owned());
        bar.set_style(style("{spinner} {msg} {elapsed}"));
        bar.enable_steady_tick(Duration::from_millis(120));
        Self { title: title.to_owned(), started: Instant::now(), bar }
    }

    /// Shows that `done` of `total` are done.
    pub fn set(&self, done: u64, total: u64) {
        if self.started.elapsed() < SHOWN_AFTER {
            return;
        }
        if self.bar.length() != Some(total) {
            self.bar.set_length(total);
            self.bar.set_style(
                style("{spinner} {msg} [{bar:40}] {human_pos} of {human_len}  {elapsed}").progress_chars("=> "),
            );
            self.bar.set_message(self.title.clone());
        }
        self.bar.set_position(done);
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

/// 1234567 as `1 234 567`.
pub fn count(number: impl TryInto<u64>) -> String {
    let digits = number.try_into().unwrap_or(0).to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
    groups.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_their_thousands_apart() {
        assert_eq!([0, 12, 123, 1234, 1_234_567].map(count), ["0", "12", "123", "1 234", "1 234 567"]);
    }
}
