//! A client that costs next to nothing: commands are encoded beforehand, replies are counted and dropped.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Appends a command in the protocol of Redis.
pub fn command<W: AsRef<[u8]>>(buffer: &mut Vec<u8>, words: &[W]) {
    write!(buffer, "*{}\r\n", words.len()).expect("a vector takes everything");
    for word in words {
        let word = word.as_ref();
        write!(buffer, "${}\r\n", word.len()).expect("a vector takes everything");
        buffer.extend_from_slice(word);
        buffer.extend_from_slice(b"\r\n");
    }
}

/// What came back for a batch of commands.
#[derive(Debug, Default)]
pub struct Replies {
    /// From the first byte sent to the last byte received.
    pub elapsed: Duration,
    /// Numbers, texts and nulls in all replies.
    pub items: usize,
    pub bytes: usize,
}

pub struct Pipe {
    stream: TcpStream,
    replies: BufReader<TcpStream>,
}

impl Pipe {
    pub fn connect(port: u16) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(120)))?;
        let replies = BufReader::with_capacity(1 << 18, stream.try_clone()?);
        Ok(Self { stream, replies })
    }

    /// Sends encoded commands while it reads their replies; fails with the first error among these.
    pub fn send(&mut self, commands: &[u8], count: usize) -> Result<Replies> {
        let started = Instant::now();
        let (stream, reader) = (&mut self.stream, &mut self.replies);
        let mut tally = Tally::default();
        thread::scope(|scope| -> Result<()> {
            let writer = scope.spawn(move || stream.write_all(commands));
            for _ in 0..count {
                tally.reply(reader)?;
            }
            writer.join().expect("the writer does not panic").context("sending commands")
        })?;
        if let Some(error) = tally.error {
            bail!(error);
        }
        Ok(Replies { elapsed: started.elapsed(), items: tally.items, bytes: tally.bytes })
    }
}

#[derive(Default)]
struct Tally {
    items: usize,
    bytes: usize,
    error: Option<String>,
    line: Vec<u8>,
}

impl Tally {
    fn reply(&mut self, reader: &mut impl BufRead) -> io::Result<()> {
        let mut open = 1usize;
        while open > 0 {
            open -= 1;
            self.line.clear();
            reader.read_until(b'\n', &mut self.line)?;
            self.bytes += self.line.len();
            let Some(kind) = self.line.first() else { return Err(io::ErrorKind::UnexpectedEof.into()) };
            match kind {
                b'*' => open += self.length().unwrap_or(0),
                b'$' => {
                    self.items += 1;
                    if let Some(length) = self.length() {
                        skip(reader, length + 2)?;
                        self.bytes += length + 2;
                    }
                }
                b'-' => {
                    let text = String::from_utf8_lossy(&self.line[1..]).trim_end().to_owned();
                    self.error.get_or_insert(text);
                }
                _ => self.items += 1,
            }
        }
        Ok(())
    }

    /// None for a null.
    fn length(&self) -> Option<usize> {
        std::str::from_utf8(&self.line[1..]).ok()?.trim_end().parse().ok()
    }
}

fn skip(reader: &mut impl BufRead, length: usize) -> io::Result<()> {
    let skipped = io::copy(&mut reader.by_ref().take(length as u64), &mut io::sink())?;
    if skipped < length as u64 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(bytes: &[u8], count: usize) -> Tally {
        let (mut tally, mut reader) = (Tally::default(), bytes);
        (0..count).for_each(|_| tally.reply(&mut reader).unwrap());
        assert!(reader.is_empty());
        tally
    }

    #[test]
    fn replies_of_every_kind_are_counted() {
        let replies = b":5\r\n*2\r\n$3\r\na\r\n\r\n*2\r\n+x\r\n$-1\r\n*0\r\n";
        let tally = tally(replies, 3);
        assert_eq!((tally.items, tally.bytes, tally.error), (4, replies.len(), None));
    }

    #[test]
    fn the_first_error_is_kept_wherever_it_stands() {
        let tally = tally(b"*2\r\n:1\r\n-ERR a\r\n-ERR b\r\n", 2);
        assert_eq!(tally.error.as_deref(), Some("ERR a"));
    }

    #[test]
    fn a_command_has_the_form_of_the_protocol() {
        let mut buffer = Vec::new();
        command(&mut buffer, &["GET", "a"]);
        assert_eq!(buffer, b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n");
    }
}
