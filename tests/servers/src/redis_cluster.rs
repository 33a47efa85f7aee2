//! A Redis cluster of three masters without replicas.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::ports::{self, Port};
use crate::redis::{RedisBuilder, RedisServer};

const MASTERS: usize = 3;
const SLOTS: usize = 16_384;
const JOIN_LIMIT: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub struct RedisCluster {
    nodes: Vec<RedisServer>,
    /// Where the nodes talk to each other.
    _bus: Vec<Port>,
}

impl RedisCluster {
    /// Starts three servers like `builder()`, shares the slots out evenly and waits until all nodes know it.
    pub fn start(builder: impl Fn() -> RedisBuilder) -> Result<RedisCluster> {
        let bus: Vec<Port> = (0..MASTERS).map(|_| ports::reserve()).collect();
        let node = |port: &Port| {
            builder()
                .conf("cluster-enabled", "yes")
                .conf("cluster-port", &port.number().to_string())
                .conf("cluster-node-timeout", "2000")
                .start()
        };
        let nodes = bus.iter().map(node).collect::<Result<Vec<RedisServer>>>()?;
        let cluster = RedisCluster { nodes, _bus: bus };
        cluster.join()?;
        Ok(cluster)
    }

    /// The masters in the order of their slots.
    pub fn nodes(&self) -> &[RedisServer] {
        &self.nodes
    }

    pub fn node_mut(&mut self, index: usize) -> &mut RedisServer {
        &mut self.nodes[index]
    }

    /// Position of the node that serves a slot.
    pub fn owner_of(&self, slot: u16) -> usize {
        (0..MASTERS).rfind(|&node| first_slot(node) <= usize::from(slot)).unwrap_or_default()
    }

    fn join(&self) -> Result<()> {
        for (index, node) in self.nodes.iter().enumerate() {
            let mut connection = node.connection()?;
            let mut cluster = |words: &[String]| redis::cmd("CLUSTER").arg(words).exec(&mut connection);
            let word = |number: usize| number.to_string();
            cluster(&["ADDSLOTSRANGE".into(), word(first_slot(index)), word(first_slot(index + 1) - 1)])?;
            cluster(&["SET-CONFIG-EPOCH".into(), word(index + 1)])?;
            if index > 0 {
                let (port, bus) = (self.nodes[0].port().to_string(), self._bus[0].number().to_string());
                cluster(&["MEET".into(), "127.0.0.1".into(), port, bus])?;
            }
        }
        let started = Instant::now();
        loop {
            let waiting = self.nodes.iter().map(knows_all).collect::<Result<Vec<bool>>>()?;
            if waiting.iter().all(|knows| *knows) {
                return Ok(());
            }
            ensure!(started.elapsed() < JOIN_LIMIT, "the nodes do not find each other:\n{}", self.nodes[0].log());
            thread::sleep(Duration::from_millis(50));
        }
    }
}

fn first_slot(node: usize) -> usize {
    (node * SLOTS).div_ceil(MASTERS)
}

fn knows_all(node: &RedisServer) -> Result<bool> {
    let info: String = redis::cmd("CLUSTER").arg("INFO").query(&mut node.connection()?).context("CLUSTER INFO")?;
    let all = format!("cluster_size:{MASTERS}");
    Ok(info.contains("cluster_state:ok") && info.contains(&all))
}
