//! The demo's steps, one file each.

pub mod archive;
pub mod ask;
pub mod copy;
pub mod detection;
pub mod finish;
pub mod import;
pub mod insert;
pub mod jobs;
pub mod schema;
pub mod sensors;
