use postgres::Client;

use super::pg_connect;
use crate::cli::failure::Failure;
use crate::cli::table::Listing;

/// A part of the answer: every column of the statement is text.
struct Section {
    title: &'static str,
    headers: &'static [&'static str],
    sql: &'static str,
    empty: &'static str,
}

const SECTIONS: [Section; 4] = [
    Section {
        title: "health",
        headers: &["component", "status", "detail", "hint"],
        sql: "SELECT component::text, status::text, detail::text, hint::text FROM strata.health()",
        empty: "nothing to report",
    },
    Section {
        title: "sources",
        headers: &["source", "table", "hot", "warm", "cold", "last flush", "rejected"],
        sql: "SELECT s.name, s.relation::text, s.hot::text, s.warm::text,
                     s.cold || CASE WHEN s.drop_archived THEN ' (drops archived days)' ELSE '' END,
                     to_char(f.flushed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS\"Z\"'), f.rejected::text
              FROM strata.sources s
              LEFT JOIN LATERAL (SELECT max(flushed_at) AS flushed_at, sum(rejected) AS rejected
                                 FROM strata.flushes f WHERE f.source_id = s.source_id) f ON true
              ORDER BY s.name",
        empty: "no table is attached; see strata.attach",
    },
    Section {
        title: "jobs",
        headers: &["job", "schedule", "next run", "last run", "status", "took", ">rows", "message"],
        sql: "SELECT job, schedule || CASE WHEN enabled THEN '' ELSE ' (paused)' END,
                     to_char(next_run_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS\"Z\"'),
                     to_char(last_started_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS\"Z\"'), last_status,
                     round(extract(epoch FROM last_finished_at - last_started_at), 1) || ' s',
                     last_rows::text, last_message
              FROM strata.job_status",
        empty: "there are no jobs",
    },
    Section {
        title: "archive",
        headers: &["source", ">days", ">of them dropped", ">rows", "first day", "last day", "last archived"],
        sql: "SELECT s.name, count(*)::text, count(*) FILTER (WHERE m.state = 'dropped')::text, sum(m.rows)::text,
                     min(m.day)::text, max(m.day)::text,
                     to_char(max(m.archived_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS\"Z\"')
              FROM strata.manifest m JOIN strata.sources s USING (source_id)
              GROUP BY s.name ORDER BY s.name",
        empty: "no day is archived yet",
    },
];

/// Prints what PostgreSQL knows. A section that fails is named and the others are still shown.
pub fn print(connection: Option<&str>) -> Result<(), Failure> {
    let (mut client, name) = pg_connect::connect(connection)?;
    let failed = |error: postgres::Error| Failure::new("PostgreSQL refused a query").detail(reason(&error));
    client.batch_execute("SET statement_timeout = '30s'; SET search_path = pg_catalog").map_err(failed)?;
    let version: Option<String> = client
        .query_opt("SELECT extversion FROM pg_extension WHERE extname = 'strata'", &[])
        .map_err(failed)?
        .map(|row| row.get(0));
    let Some(version) = version else {
        return Err(Failure::new(format!("the extension strata is not in PostgreSQL at {name}"))
            .hint("Connect to the right database, or run: CREATE EXTENSION strata"));
    };
    println!("PostgreSQL at {name}: strata {version}");
    let mut failures = Vec::new();
    for section in &SECTIONS {
        println!("\n{}", section.title);
        match rows(&mut client, section) {
            Ok(listing) if listing.is_empty() => println!("  {}", section.empty),
            Ok(listing) => listing.print(),
            Err(error) => {
                println!("  {}", reason(&error));
                failures.push(section.title);
            }
        }
    }
    if failures.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!("PostgreSQL refused part of the status: {}", failures.join(", ")))
        .hint("The role needs membership in strata_reader: GRANT strata_reader TO name"))
}

fn rows(client: &mut Client, section: &Section) -> Result<Listing, postgres::Error> {
    let mut listing = Listing::new(section.headers);
    for row in client.query(section.sql, &[])? {
        listing
            .row((0..row.len()).map(|column| row.get::<_, Option<String>>(column).unwrap_or_else(|| "-".to_owned())));
    }
    Ok(listing)
}

fn reason(error: &postgres::Error) -> String {
    error.as_db_error().map_or_else(|| error.to_string(), |error| error.message().to_owned())
}
