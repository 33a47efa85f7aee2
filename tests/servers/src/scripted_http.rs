//! An HTTP server that answers from a script: for what the emulator does not model.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

#[derive(Clone, Debug)]
pub struct Request {
    /// Counts from 0 over the server's life.
    pub number: usize,
    pub method: String,
    /// Without the query.
    pub path: String,
    /// What stands behind the question mark, undecoded.
    pub query: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

#[derive(Clone, Debug)]
pub struct Response {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    delay: Duration,
    lost: bool,
}

type Script = dyn Fn(&Request) -> Response + Send + Sync;

pub struct ScriptedHttp {
    address: SocketAddr,
    state: Arc<State>,
}

struct State {
    script: Box<Script>,
    requests: Mutex<Vec<Request>>,
    stopping: AtomicBool,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Response {
    pub fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new(), delay: Duration::ZERO, lost: false }
    }

    pub fn json(status: u16, body: &str) -> Self {
        Self::status(status).header("content-type", "application/json").body(body)
    }

    /// The request is taken, and the connection closed without a reply.
    pub fn lost() -> Self {
        Self { lost: true, ..Self::status(500) }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// The reply comes that much later.
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }
}

impl ScriptedHttp {
    pub fn start(script: impl Fn(&Request) -> Response + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("the port's address");
        let state = Arc::new(State {
            script: Box::new(script),
            requests: Mutex::new(Vec::new()),
            stopping: AtomicBool::new(false),
        });
        let shared = Arc::clone(&state);
        thread::spawn(move || accept(&listener, &shared));
        Self { address, state }
    }

    /// The base address, without a slash at its end.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All requests so far, in the order in which they came.
    pub fn requests(&self) -> Vec<Request> {
        self.state.requests.lock().expect("the requests").clone()
    }
}

impl Drop for ScriptedHttp {
    fn drop(&mut self) {
        self.state.stopping.store(true, Ordering::SeqCst);
        // Wakes the accepting thread, which then sees that it is over.
        let _ = TcpStream::connect(self.address);
    }
}

fn accept(listener: &TcpListener, state: &Arc<State>) {
    for stream in listener.incoming().flatten() {
        if state.stopping.load(Ordering::SeqCst) {
            return;
        }
        let state = Arc::clone(state);
        thread::spawn(move || serve(stream, &state));
    }
}

// One request per connection: a client must not find a kept connection closed under it, which would
// look like a lost reply that no script asked for.
fn serve(stream: TcpStream, state: &State) -> io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let Some(mut request) = read_request(&mut reader, &stream)? else {
        return Ok(());
    };
    {
        let mut requests = state.requests.lock().expect("the requests");
        request.number = requests.len();
        requests.push(request.clone());
    }
    let response = (state.script)(&request);
    thread::sleep(response.delay);
    if !response.lost {
        write_response(&stream, &request, &response)?;
    }
    stream.shutdown(Shutdown::Both)
}

fn write_response(mut stream: &TcpStream, request: &Request, response: &Response) -> io::Result<()> {
    let mut head = format!("HTTP/1.1 {} Scripted\r\nconnection: close\r\n", response.status);
    for (name, value) in &response.headers {
        head += &format!("{name}: {value}\r\n");
    }
    // Neither may have a body, nor say how long it is.
    if response.status != 204 && response.status != 304 {
        head += &format!("content-length: {}\r\n", response.body.len());
    }
    stream.write_all((head + "\r\n").as_bytes())?;
    if request.method != "HEAD" {
        stream.write_all(&response.body)?;
    }
    stream.flush()
}

fn read_request(reader: &mut impl BufRead, stream: &TcpStream) -> io::Result<Option<Request>> {
    let Some(head) = read_head(reader)? else {
        return Ok(None);
    };
    let mut slots = [httparse::EMPTY_HEADER; 100];
    let mut parsed = httparse::Request::new(&mut slots);
    parsed.parse(&head).map_err(io::Error::other)?;
    let headers: Vec<(String, String)> = parsed
        .headers
        .iter()
        .map(|header| (header.name, String::from_utf8_lossy(header.value)))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.into_owned()))
        .collect();
    let target = parsed.path.unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut request = Request {
        number: 0,
        method: parsed.method.unwrap_or_default().to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers,
        body: Vec::new(),
    };
    if request.header("expect").is_some() {
        (&*stream).write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    request.body = read_body(reader, &request)?;
    Ok(Some(request))
}

fn read_head(reader: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if reader.read_until(b'\n', &mut head)? == 0 {
            return Ok(None);
        }
    }
    Ok(Some(head))
}

fn read_body(reader: &mut impl BufRead, request: &Request) -> io::Result<Vec<u8>> {
    let chunked = request.header("transfer-encoding").is_some_and(|how| how.contains("chunked"));
    let mut body = Vec::new();
    if chunked {
        loop {
            let size = read_chunk_size(reader)?;
            reader.take(size).read_to_end(&mut body)?;
            reader.read_line(&mut String::new())?;
            if size == 0 {
                return Ok(body);
            }
        }
    }
    let length = request.header("content-length").and_then(|length| length.parse().ok());
    reader.take(length.unwrap_or(0)).read_to_end(&mut body)?;
    Ok(body)
}

fn read_chunk_size(reader: &mut impl BufRead) -> io::Result<u64> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let size = line.split(';').next().unwrap_or_default().trim();
    u64::from_str_radix(size, 16).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_answers_as_the_script_says_and_remembers_the_requests() {
        let server = ScriptedHttp::start(|request| match request.number {
            0 => Response::json(503, "{}").header("retry-after", "2"),
            _ => Response::json(200, "{\"ok\":true}"),
        });
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let address = format!("{}/a/b?c=d", server.endpoint());
        let first = agent.post(&address).header("X-Tried", "once").send("one").unwrap();
        assert_eq!(first.status(), 503);
        assert_eq!(first.headers()["retry-after"], "2");
        let mut second = agent.post(&address).send("two").unwrap();
        assert_eq!(second.body_mut().read_to_string().unwrap(), "{\"ok\":true}");

        let requests = server.requests();
        assert_eq!(requests.len(), 2);
        assert_eq!((requests[0].path.as_str(), requests[0].query.as_str()), ("/a/b", "c=d"));
        assert_eq!(requests[0].header("x-tried"), Some("once"));
        assert_eq!((requests[0].text(), requests[1].text()), ("one".into(), "two".into()));
    }

    #[test]
    fn a_lost_reply_is_an_error_at_the_client_and_a_request_at_the_server() {
        let server = ScriptedHttp::start(|_| Response::lost());
        assert!(ureq::get(server.endpoint()).call().is_err());
        assert_eq!(server.requests().len(), 1);
    }

    #[test]
    fn a_chunked_body_arrives_whole() {
        let server = ScriptedHttp::start(|_| Response::status(204));
        let body = ureq::SendBody::from_owned_reader(io::repeat(b'x').take(100_000));
        ureq::post(server.endpoint()).send(body).unwrap();
        assert_eq!(server.requests()[0].body, vec![b'x'; 100_000]);
    }
}
