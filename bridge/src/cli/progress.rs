use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A bar over the bytes of the input, on stderr; nothing where stderr is not a terminal.
pub fn over_bytes(total: u64, what: &str) -> ProgressBar {
    let bar = ProgressBar::new(total).with_message(what.to_owned());
    let style = ProgressStyle::with_template("{msg:20} [{bar:40}] {percent:>3} %  {bytes_per_sec}  {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.set_style(style.progress_chars("=> "));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
