//! The masters of a Redis cluster, each with a client of its own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use redis::Value;

use super::client::HotClient;
use super::config::HotConfig;
use super::error::{HotError, HotErrorKind};
use super::info::parse_module;
use super::reply;

pub(super) const SLOTS: u32 = 16_384;

/// Clients by address. Kept from call to call, so that each keeps its connection and its circuit breaker.
#[derive(Default)]
pub(super) struct NodeClients(Mutex<HashMap<String, Arc<HotClient>>>);

/// A master and the slots it serves.
pub(super) struct Shard {
    pub(super) client: Arc<HotClient>,
    /// First and last slot of each range.
    slots: Vec<(u32, u32)>,
}

impl Shard {
    pub(super) fn serves(&self, slot: u32) -> bool {
        self.slots.iter().any(|(first, last)| (*first..=*last).contains(&slot))
    }

    /// An error of this shard, with the shard named.
    pub(super) fn name_in(&self, error: HotError) -> HotError {
        let slots: Vec<String> = self.slots.iter().map(|(first, last)| format!("{first}-{last}")).collect();
        let fact = format!("It serves the slots {} of the cluster.", slots.join(", "));
        let detail = match error.detail {
            Some(detail) => format!("{fact} {detail}"),
            None => fact,
        };
        let hint = match error.kind {
            HotErrorKind::Unreachable | HotErrorKind::Timeout => Some(
                "Every master must be reachable from here at the address it announces (cluster-announce-ip, \
                 cluster-announce-hostname, cluster-announce-port); CLUSTER SHARDS shows these addresses."
                    .to_owned(),
            ),
            _ => error.hint,
        };
        HotError { detail: Some(detail), hint, ..error }
    }
}

impl HotClient {
    /// The masters of the cluster that the server belongs to, by their slots; `None` for a server that is in none.
    ///
    /// Errors: besides those of the connection, [`HotErrorKind::Reply`] for a cluster in which a slot is served by no
    /// master, [`HotErrorKind::Settings`] for a master that announces no address that this client can use.
    pub(super) async fn shards(&self) -> Result<Option<Vec<Shard>>, HotError> {
        if self.stands_alone() {
            return Ok(None);
        }
        let answer = match self.query(redis::cmd("CLUSTER").arg("SHARDS")).await {
            Ok(answer) => answer,
            Err(error) if error.detail.as_deref().is_some_and(says_that_there_is_none) => {
                self.note_that_it_stands_alone();
                return Ok(None);
            }
            // a user that may use the module alone
            Err(error) if error.kind == HotErrorKind::Refused => {
                let info = parse_module(self.query(&redis::cmd("STRATA.INFO")).await?)?;
                if info.fields.get("cluster").is_some_and(|cluster| cluster == "0") {
                    self.note_that_it_stands_alone();
                    return Ok(None);
                }
                return Err(error.hint("The server is a node of a cluster: allow the user +cluster|shards too."));
            }
            Err(error) => return Err(error),
        };
        let mut masters = parse_shards(answer, self.config().uses_tls())?;
        masters.sort_by_key(|master| master.slots[0]);
        check_coverage(&masters, &self.address())?;
        masters.into_iter().map(|master| self.shard(master)).collect::<Result<_, _>>().map(Some)
    }

    fn shard(&self, master: Master) -> Result<Shard, HotError> {
        let Master { host, port, slots } = master;
        let Some(port) = port else {
            return Err(HotError::new(
                HotErrorKind::Settings,
                format!("the master {} of the Redis cluster has no port for this kind of connection", shown(&host)),
            )
            .hint("Use rediss:// for a cluster with tls-port, and redis:// for one with port."));
        };
        let config = self.config().at_node(host.as_deref(), port)?;
        let mut clients = self.nodes.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let client = match clients.get(&config.url) {
            Some(client) => Arc::clone(client),
            None => {
                let client = Arc::new(HotClient::new(config.clone())?);
                clients.insert(config.url, Arc::clone(&client));
                client
            }
        };
        Ok(Shard { client, slots })
    }
}

/// Whether this is the error of a server that is in no cluster; some services do not have the command at all.
fn says_that_there_is_none(error: &str) -> bool {
    error.contains("cluster support disabled") || error.contains("unknown command")
}

#[derive(Debug, PartialEq)]
struct Master {
    /// `None`: the host by which the cluster was reached.
    host: Option<String>,
    port: Option<u16>,
    slots: Vec<(u32, u32)>,
}

fn shown(host: &Option<String>) -> &str {
    host.as_deref().unwrap_or("(at the host of the URL)")
}

/// The masters that serve slots, out of the answer to CLUSTER SHARDS: per shard `slots` (a flat list of ranges) and
/// `nodes` (field/value pairs each).
fn parse_shards(answer: Value, tls: bool) -> Result<Vec<Master>, HotError> {
    let mut masters = Vec::new();
    for shard in reply::array(answer)? {
        let (mut slots, mut nodes) = (Vec::new(), Vec::new());
        for (field, value) in reply::pairs(shard)? {
            match field.as_str() {
                "slots" => slots = ranges(value)?,
                "nodes" => nodes = reply::array(value)?,
                _ => {}
            }
        }
        if slots.is_empty() {
            continue;
        }
        let mut found: Option<(bool, Master)> = None;
        for node in nodes {
            let Some(Announced { healthy, host, port }) = master(node, tls)? else { continue };
            if found.as_ref().is_none_or(|(found, _)| healthy && !found) {
                found = Some((healthy, Master { host, port, slots: slots.clone() }));
            }
        }
        let (_, master) = found.ok_or_else(|| {
            HotError::new(HotErrorKind::Reply, "a shard of the Redis cluster has no master")
                .detail(format!("slots from {}", slots[0].0))
                .hint("Wait for the failover to end; CLUSTER SHARDS shows the nodes.")
        })?;
        masters.push(master);
    }
    Ok(masters)
}

fn ranges(value: Value) -> Result<Vec<(u32, u32)>, HotError> {
    let bounds = reply::array(value)?
        .iter()
        .map(|bound| {
            let slot = reply::unsigned(bound)?;
            u32::try_from(slot)
                .ok()
                .filter(|slot| *slot < SLOTS)
                .ok_or_else(|| HotError::reply(format!("{slot} is not a slot")))
        })
        .collect::<Result<Vec<u32>, HotError>>()?;
    if bounds.len() % 2 != 0 {
        return Err(HotError::reply("a range of slots without an end"));
    }
    Ok(bounds.chunks_exact(2).map(|range| (range[0], range[1])).collect())
}

/// What a master says of itself.
struct Announced {
    healthy: bool,
    host: Option<String>,
    port: Option<u16>,
}

/// A node's place and health; `None` for a replica.
fn master(node: Value, tls: bool) -> Result<Option<Announced>, HotError> {
    let (mut is_master, mut healthy, mut host, mut port) = (false, true, None, None);
    for (field, value) in reply::pairs(node)? {
        match field.as_str() {
            "role" => is_master = reply::text(&value)? == "master",
            "health" => healthy = reply::text(&value)? != "fail",
            "endpoint" if value != Value::Nil => host = Some(reply::text(&value)?).filter(|host| !host.is_empty()),
            "tls-port" if tls => port = Some(number(&value)?),
            "port" if !tls => port = Some(number(&value)?),
            _ => {}
        }
    }
    if is_master && host.as_deref() == Some("?") {
        return Err(HotError::new(HotErrorKind::Settings, "a master of the Redis cluster announces no host name")
            .detail("cluster-preferred-endpoint-type is unknown-endpoint or hostname, and it knows none")
            .hint("Set cluster-announce-hostname on every node, or cluster-preferred-endpoint-type to ip."));
    }
    Ok(is_master.then_some(Announced { healthy, host, port }))
}

fn number(value: &Value) -> Result<u16, HotError> {
    let port = reply::unsigned(value)?;
    u16::try_from(port).map_err(|_| HotError::reply(format!("{port} is not a port")))
}

/// A slot that nobody serves may hold series, so that a total without it could be too small. `masters` are in the
/// order of their slots.
fn check_coverage(masters: &[Master], address: &str) -> Result<(), HotError> {
    let mut ranges: Vec<(u32, u32)> = masters.iter().flat_map(|master| master.slots.iter().copied()).collect();
    ranges.sort_unstable();
    let mut next = 0;
    for (first, last) in ranges {
        if first != next {
            break;
        }
        next = last + 1;
    }
    if next == SLOTS {
        return Ok(());
    }
    Err(HotError::new(HotErrorKind::Reply, format!("the Redis cluster of {address} does not serve every slot once"))
        .detail(format!("slot {next} has no master of its own"))
        .hint("Repair it first: redis-cli --cluster check HOST:PORT, redis-cli --cluster fix HOST:PORT."))
}

impl HotConfig {
    fn uses_tls(&self) -> bool {
        self.url.starts_with("rediss:") || self.url.starts_with("valkeys:")
    }

    /// The same settings for another node of the cluster; without a host, another port of the same host.
    fn at_node(&self, host: Option<&str>, port: u16) -> Result<HotConfig, HotError> {
        let unusable = || {
            HotError::new(HotErrorKind::Settings, "the URL of a node of a Redis cluster must name host and port")
                .detail(self.address())
                .hint("Use redis://host:port, or rediss://host:port for TLS: the other nodes are reached the same way.")
        };
        let (scheme, rest) = self.url.split_once("://").ok_or_else(unusable)?;
        if !scheme.starts_with("redis") && !scheme.starts_with("valkey") || scheme.ends_with("unix") {
            return Err(unusable());
        }
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let (user, own) = authority.rsplit_once('@').map_or(("", authority), |(user, own)| (user, own));
        let at = if authority.contains('@') { "@" } else { "" };
        let own_host = match own.strip_prefix('[').and_then(|own| own.split_once(']')) {
            Some((address, _)) => address,
            None => own.split(':').next().unwrap_or_default(),
        };
        let host = host.unwrap_or(own_host);
        let (open, close) = if host.contains(':') { ("[", "]") } else { ("", "") };
        let config =
            HotConfig { url: format!("{scheme}://{user}{at}{open}{host}{close}:{port}{path}"), ..self.clone() };
        config.check().map_err(|error| error.detail(format!("host {host:?} announced by the cluster")))?;
        Ok(config)
    }
}

#[cfg(test)]
#[path = "cluster_tests.rs"]
mod tests;
