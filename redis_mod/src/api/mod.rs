//! The module API of the server, as small safe functions: everything that touches a raw pointer of Redis is in this
//! folder, or a callback in `series_type` and `events`.

/// Calls a function of the module API. [`capabilities`] has made sure at load that those exist which the module needs;
/// should one be missing nevertheless, the panic ends at the guard of the calling command.
macro_rules! redis {
    ($function:ident($($argument:expr),* $(,)?)) => {
        match redis_module::raw::$function {
            Some(function) => function($($argument),*),
            None => panic!("the server does not offer {}", stringify!($function)),
        }
    };
}
pub(crate) use redis;

pub mod args;
pub mod capabilities;
mod context;
pub mod key;
pub mod reply;
pub mod server_info;
pub mod user;

pub use context::{Ctx, allocated, is_loading, log_warning, random_bytes};
