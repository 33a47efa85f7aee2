pub mod archive;
pub mod cold;
pub mod flush;
pub mod hot;
pub mod import;
pub mod store;
pub mod table;
pub mod wait;
