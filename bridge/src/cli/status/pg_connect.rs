use std::env;
use std::time::Duration;

use postgres::config::{Host, SslMode};
use postgres::{Client, Config, NoTls};

use super::pg_pass;
use crate::cli::failure::Failure;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const SOCKET_FOLDER: &str = "/var/run/postgresql";

/// Connects with the connection string, and where it is silent with the environment, as psql does.
///
/// Returns the client and how the server is called in messages.
pub fn connect(text: Option<&str>) -> Result<(Client, String), Failure> {
    let config = config(text, |name| env::var(name).ok().filter(|value| !value.is_empty()))?;
    let name = server_name(&config);
    let client = config.connect(NoTls).map_err(|error| {
        let reason = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
        let failure = Failure::new(format!("PostgreSQL cannot be reached at {name}")).detail(reason.clone());
        if config.get_ssl_mode() == SslMode::Require || reason.contains("no encryption") {
            failure.hint("This command connects without TLS; use a Unix socket, or an SSH tunnel to the server.")
        } else {
            failure.hint("Name the server with --pg, or with PGHOST, PGPORT, PGUSER and PGDATABASE.")
        }
    })?;
    Ok((client, name))
}

fn config(text: Option<&str>, variable: impl Fn(&str) -> Option<String>) -> Result<Config, Failure> {
    let mut config: Config = match text {
        // the crate's error names the setting, never its value
        Some(text) => text.parse().map_err(|error: postgres::Error| {
            let reason = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
            Failure::new("the PostgreSQL connection string cannot be understood").detail(reason).hint(
                "It looks like \"host=db.example.org dbname=water user=ann\" or postgresql://ann@db.example.org/water",
            )
        })?,
        None => Config::new(),
    };
    let unusable =
        |name: &str| Failure::new(format!("the environment variable {name} has a value that cannot be used"));
    if config.get_hosts().is_empty() {
        config.host(&variable("PGHOST").unwrap_or_else(default_host));
    }
    if config.get_ports().is_empty()
        && let Some(port) = variable("PGPORT")
    {
        config.port(port.parse().map_err(|_| unusable("PGPORT"))?);
    }
    if config.get_user().is_none() {
        let user = variable("PGUSER").or_else(|| variable("USER")).or_else(|| variable("LOGNAME"));
        config.user(user.as_deref().unwrap_or("postgres"));
    }
    if config.get_dbname().is_none() {
        let database = variable("PGDATABASE").or_else(|| config.get_user().map(str::to_owned));
        config.dbname(&database.unwrap_or_default());
    }
    if text.is_none_or(|text| !text.contains("sslmode"))
        && let Some(mode) = variable("PGSSLMODE")
    {
        config.ssl_mode(match mode.as_str() {
            "disable" | "allow" => SslMode::Disable,
            "prefer" => SslMode::Prefer,
            "require" | "verify-ca" | "verify-full" => SslMode::Require,
            _ => return Err(unusable("PGSSLMODE")),
        });
    }
    if config.get_connect_timeout().is_none() {
        let seconds = variable("PGCONNECT_TIMEOUT")
            .map(|text| text.parse().map_err(|_| unusable("PGCONNECT_TIMEOUT")))
            .transpose()?;
        config.connect_timeout(seconds.filter(|&seconds| seconds > 0).map_or(CONNECT_TIMEOUT, Duration::from_secs));
    }
    if config.get_options().is_none()
        && let Some(options) = variable("PGOPTIONS")
    {
        config.options(&options);
    }
    if config.get_application_name().is_none() {
        config.application_name("strata status");
    }
    if config.get_password().is_none()
        && let Some(password) = variable("PGPASSWORD").or_else(|| password_from_file(&config))
    {
        config.password(password);
    }
    Ok(config)
}

fn default_host() -> String {
    if std::path::Path::new(SOCKET_FOLDER).is_dir() { SOCKET_FOLDER.to_owned() } else { "localhost".to_owned() }
}

fn password_from_file(config: &Config) -> Option<String> {
    let host = match config.get_hosts().first()? {
        Host::Tcp(name) => name.clone(),
        // libpq looks a socket up under this name
        Host::Unix(_) => "localhost".to_owned(),
    };
    pg_pass::find(&pg_pass::default_path()?, &host, port(config), config.get_dbname()?, config.get_user()?)
}

fn port(config: &Config) -> u16 {
    config.get_ports().first().copied().unwrap_or(5432)
}

fn server_name(config: &Config) -> String {
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(name)) => name.clone(),
        Some(Host::Unix(folder)) => folder.display().to_string(),
        None => String::new(),
    };
    format!("{host} port {}, database {}", port(config), config.get_dbname().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(text: Option<&str>, variables: &[(&str, &str)]) -> Config {
        let find =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        config(text, find).unwrap()
    }

    #[test]
    fn the_environment_names_the_server() {
        let config = with(None, &[("PGHOST", "db"), ("PGPORT", "5433"), ("PGUSER", "ann"), ("PGDATABASE", "water")]);
        assert_eq!(server_name(&config), "db port 5433, database water");
        assert_eq!(config.get_user(), Some("ann"));
    }

    #[test]
    fn the_connection_string_wins_and_the_environment_fills_it_up() {
        let config = with(Some("host=other dbname=x"), &[("PGHOST", "db"), ("PGPORT", "5433"), ("PGPASSWORD", "p")]);
        assert_eq!(server_name(&config), "other port 5433, database x");
        assert_eq!(config.get_password(), Some(b"p".as_slice()));
    }

    #[test]
    fn the_database_is_called_like_the_user_if_nobody_names_it() {
        assert_eq!(with(None, &[("USER", "ann")]).get_dbname(), Some("ann"));
    }

    #[test]
    fn a_bad_port_or_a_bad_string_is_an_error_without_secrets() {
        let none = |_: &str| None;
        let failure = config(Some("postgresql://ann:s3cret@db:port/x"), none).unwrap_err().to_string();
        assert!(!failure.contains("s3cret"), "{failure}");
        assert!(config(None, |name| (name == "PGPORT").then(|| "x".to_owned())).is_err());
    }
}
