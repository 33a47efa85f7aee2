use super::*;

fn bulk(text: &str) -> Value {
    Value::BulkString(text.as_bytes().to_vec())
}

fn node(endpoint: Value, port: i64, role: &str, health: &str) -> Value {
    let fields = [
        ("id", bulk("0a")),
        ("port", Value::Int(port)),
        ("tls-port", Value::Int(port + 1)),
        ("endpoint", endpoint),
        ("role", bulk(role)),
        ("health", bulk(health)),
    ];
    Value::Array(fields.into_iter().flat_map(|(name, value)| [bulk(name), value]).collect())
}

fn shard(slots: &[i64], nodes: Vec<Value>) -> Value {
    let slots = slots.iter().map(|&slot| Value::Int(slot)).collect();
    Value::Array(vec![bulk("slots"), Value::Array(slots), bulk("nodes"), Value::Array(nodes)])
}

fn one(nodes: Vec<Value>, tls: bool) -> Result<Vec<Master>, HotError> {
    parse_shards(Value::Array(vec![shard(&[0, 16_383], nodes)]), tls)
}

#[test]
fn the_master_that_is_well_is_taken_and_replicas_are_not() {
    let nodes = || {
        vec![
            node(bulk("r"), 1, "replica", "online"),
            node(bulk("old"), 2, "master", "fail"),
            node(bulk("new"), 3, "master", "online"),
        ]
    };
    assert_eq!(one(nodes(), false).unwrap()[0].host.as_deref(), Some("new"));
    assert_eq!(one(nodes(), false).unwrap()[0].port, Some(3));
    assert_eq!(one(nodes(), true).unwrap()[0].port, Some(4));
    assert!(one(vec![node(bulk("r"), 1, "replica", "online")], false).unwrap_err().message.contains("no master"));
}

#[test]
fn a_master_without_slots_is_not_asked() {
    let answer = Value::Array(vec![
        shard(&[], vec![node(bulk("empty"), 1, "master", "online")]),
        shard(&[0, 16_383], vec![node(Value::Nil, 2, "master", "online")]),
    ]);
    let masters = parse_shards(answer, false).unwrap();
    assert_eq!(masters, [Master { host: None, port: Some(2), slots: vec![(0, 16_383)] }]);
}

#[test]
fn an_unknown_host_name_is_an_error_with_a_hint() {
    let error = one(vec![node(bulk("?"), 1, "master", "online")], false).unwrap_err();
    assert!(error.hint.unwrap().contains("cluster-announce-hostname"));
    let nodes = vec![node(bulk("?"), 1, "replica", "online"), node(bulk("b"), 2, "master", "online")];
    assert_eq!(one(nodes, false).unwrap()[0].host.as_deref(), Some("b"));
}

#[test]
fn a_slot_that_nobody_serves_is_an_error() {
    let master = |slots: &[(u32, u32)]| Master { host: None, port: Some(1), slots: slots.to_vec() };
    assert!(check_coverage(&[master(&[(0, 9), (100, 16_383)]), master(&[(10, 99)])], "a").is_ok());
    for masters in
        [vec![], vec![master(&[(1, 16_383)])], vec![master(&[(0, 16_382)])], vec![master(&[(0, 9), (11, 16_383)])]]
    {
        assert!(check_coverage(&masters, "a").is_err(), "{masters:?}");
    }
}

#[test]
fn a_nodes_url_keeps_user_password_and_scheme() {
    let url = |from: &str, host| HotConfig::new(from).at_node(host, 7001).unwrap().url;
    assert_eq!(url("rediss://ann:p%40ss@seed:6379/0#insecure", Some("b")), "rediss://ann:p%40ss@b:7001/0#insecure");
    assert_eq!(url("redis://seed", Some("::1")), "redis://[::1]:7001");
    assert_eq!(url("redis://seed:6379/", None), "redis://seed:7001/");
    assert_eq!(url("redis://:pw@[fe80::1]:6379", None), "redis://:pw@[fe80::1]:7001");
    let error = HotConfig::new("unix:///run/redis.sock").at_node(Some("b"), 1).unwrap_err();
    assert_eq!(error.kind, HotErrorKind::Settings);
}

#[test]
fn garbage_is_an_error_and_no_panic() {
    assert!(parse_shards(Value::Nil, false).is_err());
    assert!(parse_shards(Value::Array(vec![shard(&[0], vec![])]), false).is_err());
    assert!(parse_shards(Value::Array(vec![shard(&[0, 20_000], vec![])]), false).is_err());
    assert!(one(vec![node(bulk("b"), 70_000, "master", "online")], false).is_err());
}
