//! Free ports, handed out so that neither parallel tests nor parallel processes get the same one.

use std::fs::{File, OpenOptions, create_dir_all};
use std::net::TcpListener;
use std::process;
use std::sync::atomic::{AtomicU16, Ordering};

use crate::paths;

/// Below the ephemeral range, so that no outgoing connection takes a port between two starts.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// A port that stays ours, also while its server is down, until this value is dropped.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _lock: Option<File>,
}

impl Port {
    /// A port chosen by the caller, who answers for its being free.
    pub fn fixed(number: u16) -> Self {
        Self { number, _lock: None }
    }

    pub fn number(&self) -> u16 {
        self.number
    }
}

/// Reserves a free port.
pub fn reserve() -> Port {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = (process::id() % u32::from(COUNT)) as u16;
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed) % COUNT;
        let number = FIRST + (start + step) % COUNT;
        if let Some(lock) = lock(number)
            && TcpListener::bind(("127.0.0.1", number)).is_ok()
        {
            return Port { number, _lock: Some(lock) };
        }
    }
    panic!("no free port between {FIRST} and {}", FIRST + COUNT);
}

fn lock(number: u16) -> Option<File> {
    let folder = paths::target().join("tests/ports");
    create_dir_all(&folder).expect("target/tests/ports");
    let file = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(false)
        .open(folder.join(number.to_string()))
        .expect("a lock file for the port");
    file.try_lock().ok().map(|()| file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_reservations_never_share_a_port() {
        let ports: Vec<Port> = (0..50).map(|_| reserve()).collect();
        let mut numbers: Vec<u16> = ports.iter().map(Port::number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), ports.len());
    }
}
