//! The directory of one server: made for it, and gone with it unless somebody may want to look.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use std::{process, thread};

const KEPT: &str = "kept";
const KEPT_FOR: Duration = Duration::from_secs(24 * 3600);

#[derive(Debug)]
pub(crate) struct Home {
    path: PathBuf,
    detached: bool,
}

impl Home {
    /// A new directory that goes away with this value; `base` is the root file system or `target`.
    pub fn temporary(base: &Path, kind: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let tests = base.join("strata/tests");
        fs::create_dir_all(&tests).expect("a folder for the tests' servers");
        sweep_once(base, &tests);
        let name = format!("{}-{}-{kind}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = tests.join(name);
        // A process that had our id and was killed may have left one of the same name.
        if path.exists() {
            fs::remove_dir_all(&path).expect("removing what an earlier process left");
        }
        fs::create_dir(&path).expect("a server's own directory");
        Self { path, detached: false }
    }

    /// A directory with a fixed place that outlives this process.
    pub fn detached(base: &Path, name: &str, kind: &str) -> Self {
        let path = base.join("strata").join(name).join(kind);
        fs::create_dir_all(&path).expect("a detached server's directory");
        Self { path, detached: true }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn is_detached(&self) -> bool {
        self.detached
    }

    pub fn log(&self) -> PathBuf {
        self.path.join("log")
    }

    pub fn read_log(&self) -> String {
        let bytes = fs::read(self.log()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    pub fn log_tail(&self) -> String {
        let log = self.read_log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if self.detached {
            return;
        }
        if thread::panicking() {
            let _ = fs::write(self.path.join(KEPT), "");
            eprintln!("kept for a look: {}\n{}", self.path.display(), self.log_tail());
        } else {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// A killed test run cannot clean up behind itself; the next one does.
fn sweep_once(base: &Path, tests: &Path) {
    static ROOTS_SWEPT: [(&str, Once); 3] =
        [("bookworm", Once::new()), ("trixie", Once::new()), ("target", Once::new())];
    let name = base.file_name().unwrap_or_default();
    if let Some((_, once)) = ROOTS_SWEPT.iter().find(|(root, _)| name == *root) {
        once.call_once(|| sweep(tests));
    }
}

fn sweep(tests: &Path) {
    for entry in fs::read_dir(tests).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.split('-').next().unwrap_or_default();
        let alive = Path::new("/proc").join(owner).exists();
        if !alive && !kept_lately(&entry.path()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn kept_lately(home: &Path) -> bool {
    let kept = fs::metadata(home.join(KEPT)).and_then(|kept| kept.modified());
    kept.is_ok_and(|at| at.elapsed().is_ok_and(|age| age < KEPT_FOR))
}
