//! A database with the extension, and questions to it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use postgres::{Client, Config, NoTls};
use series::time::{Day, MICROS_PER_DAY};
use strata_servers::{PgVersion, Postgres};

use crate::Readings;

/// A database of one test. Its name is also that of its source, so that tests can share a Redis and an emulator.
#[derive(Clone)]
pub struct Database {
    config: Config,
    version: PgVersion,
    pub name: String,
    /// The day the test began on: a test that runs past midnight goes on with it.
    pub today: Day,
}

/// An error of PostgreSQL in the parts a user sees.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    pub sqlstate: String,
    pub message: String,
    pub detail: String,
    pub hint: String,
}

impl Refusal {
    /// Of an error that PostgreSQL reported.
    pub fn of(error: &postgres::Error) -> Refusal {
        let error = error.as_db_error().unwrap_or_else(|| panic!("not an error of PostgreSQL: {error:?}"));
        Refusal {
            sqlstate: error.code().code().to_owned(),
            message: error.message().to_owned(),
            detail: error.detail().unwrap_or_default().to_owned(),
            hint: error.hint().unwrap_or_default().to_owned(),
        }
    }
}

impl Database {
    pub fn create(postgres: &Postgres) -> Database {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("e2e_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        postgres.create_database(&name).unwrap();
        Database::open(postgres, &name)
    }

    /// A database that exists.
    pub fn open(postgres: &Postgres, name: &str) -> Database {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as i64;
        Database {
            config: postgres.config(name),
            version: postgres.version(),
            name: name.to_owned(),
            today: Day::of(now),
        }
    }

    pub fn connect(&self) -> Client {
        self.config.connect(NoTls).unwrap_or_else(|error| panic!("{}: {error:?}", self.name))
    }

    /// A session that remembers its warnings.
    pub fn session(&self) -> (Client, Arc<Mutex<Vec<String>>>) {
        let warnings = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&warnings);
        let mut config = self.config();
        config.notice_callback(move |notice| {
            let hint = notice.hint().unwrap_or_default();
            heard.lock().unwrap().push(format!("{}: {} ({hint})", notice.severity(), notice.message()));
        });
        (config.connect(NoTls).unwrap(), warnings)
    }

    pub fn config(&self) -> Config {
        self.config.clone()
    }

    pub fn run(&self, sql: &str) {
        self.connect().batch_execute(sql).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    /// The only value of a query, as text; NULL is the empty text.
    pub fn ask(&self, sql: &str) -> String {
        let sql = format!("SELECT ({sql})::text");
        let row = self.connect().query_one(&sql, &[]).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        row.get::<_, Option<String>>(0).unwrap_or_default()
    }

    pub fn count(&self, sql: &str) -> i64 {
        let answer = self.ask(sql);
        answer.parse().unwrap_or_else(|_| panic!("{sql}: {answer:?} is no number"))
    }

    /// The error of a statement that must fail.
    pub fn refusal(&self, sql: &str) -> Refusal {
        Refusal::of(&self.connect().batch_execute(sql).expect_err(sql))
    }

    /// Runs a job, which must succeed, and gives the number of rows and what it had to say.
    pub fn job(&self, job: &str) -> (i64, String) {
        let row = self
            .connect()
            .query_one("SELECT rows, message FROM strata.run_job($1)", &[&job])
            .unwrap_or_else(|error| panic!("{job}: {error:?}"));
        (row.get::<_, Option<i64>>(0).unwrap_or(0), row.get::<_, Option<String>>(1).unwrap_or_default())
    }

    /// The error of a job that must fail.
    pub fn job_refusal(&self, job: &str) -> Refusal {
        self.refusal(&format!("SELECT strata.run_job('{job}')"))
    }

    /// A table with one measure, a hypertable with a chunk a day where there is TimescaleDB.
    pub fn create_readings(&self) {
        self.run(
            "CREATE TABLE readings (time timestamptz NOT NULL, key text NOT NULL, value float8, UNIQUE (key, time))",
        );
        if self.version.has_timescaledb() {
            self.run("SELECT create_hypertable('readings', 'time', chunk_time_interval => interval '1 day')");
        }
    }

    /// Attaches `readings` under the name of the database; `more` are further arguments.
    pub fn attach(&self, more: &str) {
        let comma = if more.is_empty() { "" } else { ", " };
        self.run(&format!("SELECT strata.attach('readings', 'time', 'key', name => '{}'{comma}{more})", self.name));
    }

    /// A table attached with all three tiers: days older than three days are archived and dropped.
    pub fn attach_three_tiers(&self) {
        self.create_readings();
        self.attach(&format!("warm => '3 days', cold => '{}', drop_archived => true", self.cold()));
    }

    /// The archive of the database's source.
    pub fn cold(&self) -> String {
        format!("{}.readings", self.name)
    }

    /// Midnight UTC some days before the day of the test.
    pub fn midnight(&self, days_ago: i32) -> i64 {
        i64::from(self.today.0 - days_ago) * MICROS_PER_DAY
    }

    /// The same as an SQL literal.
    pub fn day(&self, days_ago: i32) -> String {
        format!("'{} 00:00:00+00'::timestamptz", Day(self.today.0 - days_ago))
    }

    /// The same as a date.
    pub fn date(&self, days_ago: i32) -> String {
        Day(self.today.0 - days_ago).to_string()
    }

    /// Readings every ten minutes of the days `[first, last]` ago for the keys A and B.
    pub fn fill(&self, first: i32, last: i32) -> Readings {
        self.run(&format!(
            "INSERT INTO readings SELECT t, k, extract(epoch FROM t)::bigint % 1009 + ascii(k)
             FROM generate_series({}, {} - interval '1 second', interval '10 minutes') t, unnest(ARRAY['A', 'B']) k",
            self.day(first),
            self.day(last - 1),
        ));
        Readings::of(
            self,
            &format!("SELECT * FROM readings WHERE time >= {} AND time < {}", self.day(first), self.day(last - 1)),
        )
    }

    /// What the table holds.
    pub fn stored(&self) -> Readings {
        Readings::of(self, "SELECT * FROM readings")
    }

    /// What a query over all tiers and all times gives.
    pub fn all_tiers(&self) -> Readings {
        Readings::of(self, "SELECT * FROM strata.rows(NULL::readings, '-infinity', 'infinity')")
    }
}
