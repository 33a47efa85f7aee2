//! The data of the demonstration, for the demo itself and for the end-to-end tests: real measurements with labelled
//! anomalies, and a simulated water network.

pub mod nab;
pub mod water_network;
