/// What the water behind a node is used for; decides the shape of a day and of a week.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    Homes,
    Shops,
    Industry,
}

/// A measuring point of the simulated network.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Node {
    pub id: &'static str,
    pub name: &'static str,
    pub zone: &'static str,
    pub usage: Use,
    /// Mean flow, L/s.
    pub base_flow: f64,
    /// Pressure without flow, bar.
    pub static_pressure: f64,
}

const fn node(
    id: &'static str,
    name: &'static str,
    zone: &'static str,
    usage: Use,
    base_flow: f64,
    static_pressure: f64,
) -> Node {
    Node { id, name, zone, usage, base_flow, static_pressure }
}

/// Twelve nodes in three zones.
pub const NODES: [Node; 12] = [
    node("NODE_001", "North reservoir outlet", "NORTH", Use::Homes, 42.0, 5.60),
    node("NODE_002", "North hill", "NORTH", Use::Homes, 14.5, 4.30),
    node("NODE_003", "North park", "NORTH", Use::Homes, 11.2, 4.75),
    node("NODE_004", "North school street", "NORTH", Use::Shops, 8.4, 4.90),
    node("NODE_005", "Centre inlet", "CENTRE", Use::Shops, 36.5, 5.20),
    node("NODE_006", "Centre market", "CENTRE", Use::Shops, 13.1, 4.60),
    node("NODE_007", "Centre station", "CENTRE", Use::Shops, 16.8, 4.70),
    node("NODE_008", "Centre old town", "CENTRE", Use::Homes, 9.6, 4.45),
    node("NODE_009", "South inlet", "SOUTH", Use::Industry, 48.0, 5.85),
    node("NODE_010", "South harbour", "SOUTH", Use::Industry, 22.4, 5.40),
    node("NODE_011", "South works", "SOUTH", Use::Industry, 18.7, 5.10),
    node("NODE_012", "South village", "SOUTH", Use::Homes, 7.9, 4.95),
];

/// The node with this id.
pub fn find(id: &str) -> Option<&'static Node> {
    NODES.iter().find(|node| node.id == id)
}
