//! Where commands go: to the one server, or in a cluster to the master of their key, or to all masters.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use redis::{Cmd, Value};

use super::client::HotClient;
use super::cluster::SLOTS;
use super::error::HotError;

/// A command about one Redis key, or about several of one slot.
pub(super) struct KeyCommand {
    pub(super) redis_key: String,
    pub(super) command: Cmd,
}

impl KeyCommand {
    /// `name key`, for arguments to follow.
    pub(super) fn new(name: &str, redis_key: String) -> Self {
        let mut command = redis::cmd(name);
        command.arg(&redis_key);
        Self { redis_key, command }
    }
}

impl HotClient {
    /// The answer of the one server or of every master, in the order of their slots. A master that does not answer is an
    /// error that names it, never a smaller answer.
    pub(super) async fn query_all(&self, command: &Cmd) -> Result<Vec<Value>, HotError> {
        let Some(shards) = self.shards().await? else { return Ok(vec![self.query(command).await?]) };
        let answers =
            shards.iter().map(async |shard| shard.client.query(command).await.map_err(|error| shard.name_in(error)));
        join_all(answers).await.into_iter().collect()
    }

    /// Positions of the keys that one command may name together: a node of a cluster wants them to be of one slot.
    pub(super) async fn groups<'a>(
        &self,
        redis_keys: impl Iterator<Item = &'a str>,
    ) -> Result<Vec<Vec<usize>>, HotError> {
        let clustered = self.shards().await?.is_some();
        let mut groups: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        for (position, key) in redis_keys.enumerate() {
            groups.entry(if clustered { slot(key.as_bytes()) } else { 0 }).or_default().push(position);
        }
        Ok(groups.into_values().collect())
    }

    /// Sends each command to the server of its key; returns one answer per command, in their order. An error of one
    /// command is a [`Value::ServerError`] in its place.
    pub(super) async fn query_keys(&self, commands: &[KeyCommand]) -> Result<Vec<Value>, HotError> {
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        let all = || commands.iter().enumerate();
        let Some(shards) = self.shards().await? else { return self.query_pipeline(&pipeline(all())).await };
        let parts = shards.iter().map(async |shard| {
            let of_shard = || all().filter(|(_, command)| shard.serves(slot(command.redis_key.as_bytes())));
            let places: Vec<usize> = of_shard().map(|(place, _)| place).collect();
            if places.is_empty() {
                return Ok(Vec::new());
            }
            let answers = shard.client.query_pipeline(&pipeline(of_shard())).await;
            Ok(places.into_iter().zip(answers.map_err(|error| shard.name_in(error))?).collect())
        });
        let parts = join_all(parts).await.into_iter().collect::<Result<Vec<Vec<(usize, Value)>>, HotError>>()?;
        let mut answers: Vec<(usize, Value)> = parts.into_iter().flatten().collect();
        answers.sort_unstable_by_key(|(place, _)| *place);
        Ok(answers.into_iter().map(|(_, answer)| answer).collect())
    }
}

fn pipeline<'a>(commands: impl Iterator<Item = (usize, &'a KeyCommand)>) -> redis::Pipeline {
    let mut pipeline = redis::pipe();
    for (_, command) in commands {
        pipeline.add_command(command.command.clone());
    }
    pipeline
}

/// The slot of a key: CRC16 (XMODEM) of it, or of what stands between its first braces (Redis Cluster specification,
/// "Key distribution model" and "Hash tags").
fn slot(redis_key: &[u8]) -> u32 {
    let tag = redis_key.iter().position(|&byte| byte == b'{').and_then(|open| {
        let rest = &redis_key[open + 1..];
        rest.iter().position(|&byte| byte == b'}').filter(|&length| length > 0).map(|length| &rest[..length])
    });
    u32::from(crc16(tag.unwrap_or(redis_key))) % SLOTS
}

fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, &byte| {
        (0..8).fold(crc ^ u16::from(byte) << 8, |crc, _| {
            let shifted = crc << 1;
            if crc & 0x8000 == 0 { shifted } else { shifted ^ 0x1021 }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        assert_eq!(slot(b"foo"), 12_182);
        assert_eq!(slot(b"{user1000}.following"), slot(b"user1000"));
        assert_eq!(slot(b"foo{}{bar}"), u32::from(crc16(b"foo{}{bar}")) % SLOTS);
        assert_eq!(slot(b"foo{{bar}}zap"), slot(b"{bar"));
        assert_eq!(slot(b"foo{bar"), u32::from(crc16(b"foo{bar")) % SLOTS);
    }
}
