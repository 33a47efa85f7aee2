//! The token that STRATA.PENDING gives and STRATA.ACK takes: which samples, of which series in memory.

use super::arguments::shown;
use crate::failure::Failure;
use crate::hot::Token;
use std::fmt;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlushToken {
    pub token: Token,
    /// See [`crate::instance`].
    pub instance: u64,
}

impl fmt::Display for FlushToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{:016x}", self.token.time, self.token.seq, self.instance)
    }
}

impl FlushToken {
    pub fn parse(bytes: &[u8]) -> Result<FlushToken, Failure> {
        let read = || {
            let mut parts = std::str::from_utf8(bytes).ok()?.splitn(3, ':');
            let time = parts.next()?.parse().ok()?;
            let seq = parts.next()?.parse().ok()?;
            let instance = u64::from_str_radix(parts.next()?, 16).ok()?;
            Some(FlushToken { token: Token { time, seq }, instance })
        };
        read().ok_or_else(|| Failure::text(format!("\"{}\" is not a token of STRATA.PENDING", shown(bytes))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_back() {
        let token = FlushToken { token: Token { time: -5, seq: u64::MAX }, instance: 0xfeed };
        assert_eq!(FlushToken::parse(token.to_string().as_bytes()), Ok(token));
        for text in ["", "1", "1:2", "1:2:", "1:2:xyz", "1:-2:3", ":1:2", "1:2:3:4"] {
            assert!(FlushToken::parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
