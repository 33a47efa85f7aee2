//! Anomaly detection in SQL: over rows, arrays and attached tables.

mod array;
mod backtest;
mod chart;
mod detectors;
pub mod joint;
mod labels;
mod outcome;
mod plot;
mod readings;
mod result_set;
mod score;
pub mod setting;
mod suppress;
mod table;
