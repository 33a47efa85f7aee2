//! Settings of the server under which acknowledged samples can get lost.

use crate::api::server_info::ServerInfo;
use crate::totals::totals;

/// The share of maxmemory from which on pending samples are in danger of being refused.
const NEARLY_FULL: f64 = 0.9;

/// What the operator should change, a sentence each; empty when all is well.
pub fn warnings() -> Vec<String> {
    let memory = ServerInfo::section(c"memory");
    let persistence = ServerInfo::section(c"persistence");
    let facts = Facts {
        policy: memory.field(c"maxmemory_policy").unwrap_or_default(),
        maxmemory: memory.number(c"maxmemory").unwrap_or(0.0),
        used: memory.number(c"used_memory").unwrap_or(0.0),
        aof: persistence.field(c"aof_enabled").as_deref() == Some("1"),
        pending: totals().pending,
    };
    facts.warnings()
}

struct Facts {
    policy: String,
    /// Bytes; 0 if there is no limit.
    maxmemory: f64,
    used: f64,
    aof: bool,
    pending: i64,
}

impl Facts {
    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.policy.starts_with("allkeys-") {
            warnings.push(format!(
                "maxmemory-policy is {}, which may evict series with samples that the table does not have; set noeviction or \
                 a volatile policy",
                self.policy
            ));
        }
        if !self.aof {
            warnings.push(
                "the AOF is off: samples written since the last RDB snapshot are lost in a crash; set appendonly yes"
                    .to_owned(),
            );
        }
        if self.maxmemory > 0.0 && self.used >= NEARLY_FULL * self.maxmemory && self.pending > 0 {
            warnings.push(format!(
                "memory is at {:.0} % of maxmemory with {} samples pending: new ones will be refused; raise maxmemory or see \
                 why the flush does not run",
                100.0 * self.used / self.maxmemory,
                self.pending
            ));
        }
        warnings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        Facts { policy: "noeviction".into(), maxmemory: 1000.0, used: 100.0, aof: true, pending: 5 }
    }

    #[test]
    fn a_safe_server_has_no_warnings() {
        assert!(facts().warnings().is_empty());
        let unlimited = Facts { maxmemory: 0.0, ..facts() };
        assert!(unlimited.warnings().is_empty());
    }

    #[test]
    fn each_danger_has_its_warning() {
        let evicting = Facts { policy: "allkeys-lru".into(), ..facts() };
        assert!(evicting.warnings()[0].contains("allkeys-lru"));
        let volatile = Facts { aof: false, ..facts() };
        assert!(volatile.warnings()[0].contains("appendonly"));
        let full = Facts { used: 950.0, ..facts() };
        assert!(full.warnings()[0].contains("95 %"));
        assert!(Facts { pending: 0, ..full }.warnings().is_empty());
    }
}
