use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::super::HotErrorKind;
use super::*;

/// A server that speaks just enough of the protocol: `answer` gets the name of each command.
async fn serve(mut stream: TcpStream, answer: impl Fn(&str) -> Option<String>) {
    let mut buffer = Vec::new();
    loop {
        while let Some((name, used)) = first_command(&buffer) {
            buffer.drain(..used);
            let Some(text) = answer(&name) else { return };
            if stream.write_all(text.as_bytes()).await.is_err() {
                return;
            }
        }
        if !matches!(stream.read_buf(&mut buffer).await, Ok(1..)) {
            return;
        }
    }
}

/// Name and length of the first complete command in `bytes`.
fn first_command(bytes: &[u8]) -> Option<(String, usize)> {
    let mut at = 0;
    let line = |at: &mut usize| {
        let end = bytes[*at..].windows(2).position(|pair| pair == b"\r\n")? + *at;
        let text = std::str::from_utf8(&bytes[*at..end]).ok()?.to_owned();
        *at = end + 2;
        Some(text)
    };
    let words: usize = line(&mut at)?.strip_prefix('*')?.parse().ok()?;
    let mut name = String::new();
    for word in 0..words {
        let length: usize = line(&mut at)?.strip_prefix('$')?.parse().ok()?;
        let text = bytes.get(at..at + length)?;
        if word == 0 {
            name = String::from_utf8_lossy(text).to_ascii_uppercase();
        }
        at += length + 2;
        if at > bytes.len() {
            return None;
        }
    }
    Some((name, at))
}

fn client(port: u16) -> HotClient {
    HotClient::new(HotConfig {
        connect_timeout: Duration::from_millis(300),
        response_timeout: Duration::from_millis(300),
        retry_after: Duration::from_secs(60),
        ..HotConfig::new(format!("redis://ann:s3cret@127.0.0.1:{port}"))
    })
    .unwrap()
}

fn run<F: Future>(test: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test)
}

async fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

#[test]
fn a_closed_port_is_unreachable_and_the_next_call_fails_at_once() {
    run(async {
        let (listener, port) = listener().await;
        drop(listener);
        let client = client(port);
        let error = client.ping().await.unwrap_err();
        assert_eq!(error.kind, HotErrorKind::Unreachable);
        assert!(error.hint.is_some());
        let started = Instant::now();
        let error = client.ping().await.unwrap_err();
        assert_eq!(error.kind, HotErrorKind::Unreachable);
        assert!(error.detail.unwrap().contains("next one is made in"));
        assert!(started.elapsed() < Duration::from_millis(50));
    });
}

#[test]
fn a_server_that_never_answers_costs_one_timeout_only() {
    run(async {
        let (listener, port) = listener().await;
        let silent = tokio::spawn(async move {
            let mut open = Vec::new();
            while let Ok((stream, _)) = listener.accept().await {
                open.push(stream);
            }
        });
        let client = client(port);
        let started = Instant::now();
        assert_eq!(client.ping().await.unwrap_err().kind, HotErrorKind::Timeout);
        assert!(started.elapsed() < Duration::from_secs(2));
        let started = Instant::now();
        assert_eq!(client.ping().await.unwrap_err().kind, HotErrorKind::Unreachable);
        assert!(started.elapsed() < Duration::from_millis(50));
        silent.abort();
    });
}

#[test]
fn an_answer_that_does_not_come_is_a_timeout_and_the_connection_is_not_used_again() {
    run(async {
        let (listener, port) = listener().await;
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = connections.clone();
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = counter.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream, move |name| match name {
                    "PING" if number == 0 => Some(String::new()),
                    "PING" => Some("+PONG\r\n".into()),
                    _ => Some("+OK\r\n".into()),
                }));
            }
        });
        let client = client(port);
        assert_eq!(client.ping().await.unwrap_err().kind, HotErrorKind::Timeout);
        client.ping().await.unwrap();
        assert_eq!(connections.load(Ordering::SeqCst), 2);
        server.abort();
    });
}

#[test]
fn a_connection_that_broke_while_idle_is_replaced_without_an_error() {
    run(async {
        let (listener, port) = listener().await;
        let server = tokio::spawn(async move {
            // each connection answers one PING and is then closed
            while let Ok((stream, _)) = listener.accept().await {
                let pings = AtomicUsize::new(0);
                serve(stream, move |name| match name {
                    "PING" if pings.fetch_add(1, Ordering::SeqCst) == 0 => Some("+PONG\r\n".into()),
                    "PING" => None,
                    _ => Some("+OK\r\n".into()),
                })
                .await;
            }
        });
        let client = client(port);
        for _ in 0..3 {
            client.ping().await.unwrap();
        }
        server.abort();
    });
}

#[test]
fn a_client_outlives_the_runtime_that_opened_its_connection() {
    let (listener, port) = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        (listener, port)
    };
    std::thread::spawn(move || {
        run(async move {
            listener.set_nonblocking(true).unwrap();
            let listener = TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, |name| Some(if name == "PING" { "+PONG\r\n" } else { "+OK\r\n" }.into())));
            }
        });
    });
    let client = client(port);
    run(client.ping()).unwrap();
    run(client.ping()).unwrap();
}

#[test]
fn a_wrong_password_is_refused_and_does_not_show() {
    run(async {
        let (listener, port) = listener().await;
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let wrong = "-WRONGPASS invalid username-password pair or user is disabled.\r\n";
                tokio::spawn(serve(stream, move |_| Some(wrong.into())));
            }
        });
        let error = client(port).ping().await.unwrap_err();
        assert_eq!(error.kind, HotErrorKind::Refused, "{error}");
        assert!(!format!("{error:?}").contains("s3cret"));
        server.abort();
    });
}

#[test]
fn a_server_without_the_module_says_how_to_load_it() {
    run(async {
        let (listener, port) = listener().await;
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, |name| {
                    Some(match name {
                        "CLUSTER" => "-ERR This instance has cluster support disabled\r\n".into(),
                        name if name.starts_with("STRATA.") => {
                            format!("-ERR unknown command '{name}', with args beginning with: 'readings' \r\n")
                        }
                        _ => "+OK\r\n".into(),
                    })
                }));
            }
        });
        let error = client(port).pending("readings", None, None, None, None).await.unwrap_err();
        assert_eq!(error.kind, HotErrorKind::ModuleMissing, "{error}");
        assert!(error.hint.unwrap().contains("loadmodule"));
        server.abort();
    });
}
