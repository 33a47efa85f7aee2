//! The joint detector in SQL: over arrays, over attached tables, and from stored models.

mod align;
mod array;
mod backtest;
mod fit;
mod flow;
mod options;
pub mod refit;
mod request;
mod result;
mod sensors;
mod stored;
mod table;
mod train;
