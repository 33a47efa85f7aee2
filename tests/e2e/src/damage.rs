//! A series that was damaged in memory before the server saved it: the file is whole, the series in it is not.

use std::fs;
use std::path::{Path, PathBuf};

use redis::Connection;
use strata_servers::RedisServer;

use crate::eventually;

/// Spoils a series in the files of a server with an AOF, and starts the server again on them.
pub fn damage(redis: &mut RedisServer, key: &str) {
    let mut connection = redis.connection().unwrap();
    // so that its bytes are found in the file
    redis::cmd("CONFIG").arg(&["SET", "rdbcompression", "no"]).exec(&mut connection).unwrap();
    let state = state_of(&mut connection, key);
    redis::cmd("BGREWRITEAOF").exec(&mut connection).unwrap();
    eventually("the AOF is rewritten", || {
        let info: String = redis::cmd("INFO").arg("persistence").query(&mut connection).unwrap();
        info.contains("aof_rewrite_in_progress:0") && info.contains("aof_rewrite_scheduled:0")
    });
    redis.kill9();
    let (file, mut bytes, at) = find(&redis.data_dir().join("appendonlydir"), &state).expect("the series in a file");
    let end = bytes.len();
    // a server that writes no checksum writes zeros
    bytes[end - 8..].fill(0);
    bytes[at + state.len() / 3..at + state.len() / 2].fill(0xff);
    fs::write(file, bytes).unwrap();
    redis.start().unwrap();
}

/// The bytes of a series as files hold it: a DUMP begins with the type and ends with a version and a checksum.
pub fn state_of(connection: &mut Connection, key: &str) -> Vec<u8> {
    let dump: Vec<u8> = redis::cmd("DUMP").arg(key).query(connection).unwrap();
    dump[1..dump.len() - 10].to_vec()
}

fn find(folder: &Path, wanted: &[u8]) -> Option<(PathBuf, Vec<u8>, usize)> {
    fs::read_dir(folder).unwrap().find_map(|file| {
        let path = file.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        let at = bytes.windows(wanted.len()).position(|window| window == wanted)?;
        Some((path, bytes, at))
    })
}
