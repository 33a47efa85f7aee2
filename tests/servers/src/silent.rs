//! A server that accepts every connection and never answers.

use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

pub struct SilentServer {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    connections: AtomicUsize,
    bytes: AtomicUsize,
    stopping: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
}

impl SilentServer {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("the port's address");
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        thread::spawn(move || accept(&listener, &shared));
        Self { address, state }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// How many connections there were so far.
    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }

    /// How many bytes the clients sent so far, in vain.
    pub fn received_bytes(&self) -> usize {
        self.state.bytes.load(Ordering::SeqCst)
    }

    /// Waits until somebody has sent something, so that a test knows the other side is hanging.
    pub fn wait_for_request(&self, limit: Duration) -> bool {
        let started = Instant::now();
        while self.received_bytes() == 0 {
            if started.elapsed() > limit {
                return false;
            }
            thread::sleep(Duration::from_millis(5));
        }
        true
    }
}

impl Drop for SilentServer {
    fn drop(&mut self) {
        self.state.stopping.store(true, Ordering::SeqCst);
        for stream in self.state.open.lock().expect("the open connections").drain(..) {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
        // Wakes the accepting thread, which then sees that it is over.
        let _ = TcpStream::connect(self.address);
    }
}

fn accept(listener: &TcpListener, state: &Arc<State>) {
    for stream in listener.incoming().flatten() {
        if state.stopping.load(Ordering::SeqCst) {
            return;
        }
        state.connections.fetch_add(1, Ordering::SeqCst);
        if let Ok(copy) = stream.try_clone() {
            state.open.lock().expect("the open connections").push(copy);
        }
        let state = Arc::clone(state);
        thread::spawn(move || swallow(stream, &state));
    }
}

fn swallow(mut stream: TcpStream, state: &State) {
    let mut buffer = [0; 4096];
    while let Ok(count) = stream.read(&mut buffer)
        && count > 0
    {
        state.bytes.fetch_add(count, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{ErrorKind, Write};

    #[test]
    fn it_takes_everything_and_answers_nothing() {
        let server = SilentServer::start();
        let mut client = TcpStream::connect(server.address()).unwrap();
        client.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        client.write_all(b"PING\r\n").unwrap();
        assert!(server.wait_for_request(Duration::from_secs(5)));
        let error = client.read(&mut [0; 1]).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut));
        assert_eq!((server.connections(), server.received_bytes()), (1, 6));
    }

    #[test]
    fn its_end_frees_those_who_wait() {
        let server = SilentServer::start();
        let mut client = TcpStream::connect(server.address()).unwrap();
        client.write_all(b"PING\r\n").unwrap();
        assert!(server.wait_for_request(Duration::from_secs(5)));
        drop(server);
        client.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        assert_eq!(client.read(&mut [0; 1]).unwrap_or(0), 0);
    }
}
