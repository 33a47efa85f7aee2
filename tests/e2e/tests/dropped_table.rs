//! DROP TABLE of an attached table loses nothing of its archive, and does not stand in anybody's way.

use strata_e2e::{Database, postgres, stack};

const SOURCES: &str = "SELECT count(*) FROM strata.sources";

#[test]
fn the_archive_of_a_dropped_table_goes_on_with_the_table_in_its_place() {
    let database = stack().database();
    database.attach_three_tiers();
    let old = database.fill(6, 5);
    database.fill(1, 1);
    database.job("archive");
    assert_eq!(database.count("SELECT count(*) FROM strata.manifest WHERE state = 'dropped'"), 2);
    database.run("DROP TABLE readings");
    for job in ["flush", "rollup", "anomaly_detection", "archive", "cleanup"] {
        database.job(job);
    }
    assert_eq!(database.count(SOURCES), 1, "the manifest is all that knows of the archive");
    let health = database.ask(&format!(
        "SELECT status || ' ' || detail FROM strata.health() WHERE component = 'source {}'",
        database.name
    ));
    assert_eq!(health, format!("warning its table was dropped; 2 days are in {}", database.cold()));

    database.create_readings();
    let refusal = database.refusal(&format!(
        "SELECT strata.attach('readings', 'time', 'key', name => 'another', cold => '{}')",
        database.cold()
    ));
    assert_eq!(refusal.sqlstate, "55006");
    assert!(refusal.hint.contains(&format!("name => '{}'", database.name)), "{refusal:?}");
    let before = database.ask("SELECT source_id FROM strata.sources");
    database.attach(&format!("warm => '3 days', cold => '{}', drop_archived => true", database.cold()));
    assert_eq!(database.ask("SELECT source_id FROM strata.sources"), before);
    database.all_tiers().assert_same(&old, "the days of the dropped table");

    let new = database.fill(1, 1);
    assert_eq!(
        database.count(&format!("SELECT strata.restore('readings', {}, {})", database.day(6), database.day(4))),
        old.len() as i64
    );
    database.stored().assert_same(&old.and(&new), "restored");
    database.job("archive");
    database.all_tiers().assert_same(&old.and(&new), "in the end");
}

#[test]
fn a_day_that_the_table_still_held_is_read_from_the_archive() {
    let database = stack().database();
    database.create_readings();
    let attach = format!("warm => '3 days', cold => '{}'", database.cold());
    database.attach(&attach);
    let old = database.fill(6, 5);
    database.job("archive");
    database.run("DROP TABLE readings");
    database.create_readings();
    database.attach(&attach);
    database.all_tiers().assert_same(&old, "the days of the dropped table");
}

#[test]
fn a_source_without_an_archive_is_forgotten_with_its_table() {
    let database = Database::create(postgres());
    for _ in 0..2 {
        database.create_readings();
        database.attach("warm => NULL");
        database.run("DROP TABLE readings");
    }
    assert_eq!(database.count(SOURCES), 1, "the second took the name of the first");
    assert_eq!(database.job("cleanup"), (1, "sources of dropped tables forgotten: 1".to_owned()));
    assert_eq!(database.count(SOURCES), 0);
}
