//! Lossless column encodings of a block: one module per encoding, and [`column`], which chooses.
//!
//! Every decoder takes bytes that may come from a file or a stranger: a bad byte gives an error, never a panic and never
//! an allocation larger than the row count the caller asked for.

pub mod bits;
pub mod column;
pub mod decimal;
pub mod packed;
pub mod timestamps;
pub mod xor;
