//! Whether the extension is in this database, and is the one this library was built for.

use super::shared::Verdict;
use pgrx::Spi;

/// The version this library was built with. SQL of another version may lack what the code uses.
pub const LIBRARY_VERSION: &str = env!("CARGO_PKG_VERSION");

/// What is installed in this database.
pub struct Installed {
    pub version: Option<String>,
}

impl Installed {
    /// Looks it up. Needs a transaction.
    pub fn look() -> Result<Self, pgrx::spi::Error> {
        Spi::connect(|client| {
            let sql = "SELECT extversion::text FROM pg_catalog.pg_extension WHERE extname = 'strata'";
            let rows = client.select(sql, Some(1), &[])?;
            let version = if rows.is_empty() { None } else { rows.first().get_one::<String>()? };
            Ok(Installed { version })
        })
    }

    pub fn verdict(&self) -> Verdict {
        match self.version.as_deref() {
            None => Verdict::Absent,
            Some(LIBRARY_VERSION) => Verdict::Present,
            Some(_) => Verdict::Mismatch,
        }
    }
}
