use bridge::hot::{HotClient, HotConfig};

use super::args::RedisArgs;
use super::failure::Failure;

/// A client for the Redis server named on the command line. Connects with the first command.
pub fn client(args: &RedisArgs) -> Result<HotClient, Failure> {
    let config = HotConfig { password_file: args.redis_password_file.clone(), ..HotConfig::new(&args.redis_url) };
    Ok(HotClient::new(config)?)
}
