//! What Strata knows of a database survives pg_dump, and works on in the copy.

use strata_e2e::{Database, postgres as server, tools};

/// What must be the same in the copy.
const KEPT: [&str; 11] = [
    "SELECT string_agg(concat_ws(' ', source_id, relation, name, time_column, key_column, measures, hot, warm, cold), E'\\n') FROM strata.sources",
    "SELECT string_agg(m::text, E'\\n' ORDER BY day) FROM strata.manifest m",
    "SELECT string_agg(concat_ws(' ', source_id, day, consumer), E'\\n' ORDER BY consumer, day) FROM strata.dirty_days",
    "SELECT string_agg(concat_ws(' ', source_id, day), E'\\n' ORDER BY day) FROM strata.dirty_log",
    "SELECT string_agg(a::text, E'\\n' ORDER BY anomaly_id) FROM strata.anomaly_events a",
    "SELECT string_agg(d::text, E'\\n') FROM strata.detectors d",
    "SELECT string_agg(s::text, E'\\n') FROM strata.suppressions s",
    "SELECT string_agg(concat_ws(' ', name, schedule, enabled, altered), E'\\n' ORDER BY name) FROM strata.jobs",
    "SELECT string_agg(md5(r::text), E'\\n' ORDER BY width, bucket, key) FROM strata.rollup_states r",
    "SELECT string_agg(f::text, E'\\n') FROM strata.rejected_samples f",
    "SELECT string_agg(md5(j::text), E'\\n' ORDER BY name, key) FROM strata.joint_models j",
];

fn database() -> Database {
    let database = Database::create(server());
    database.create_readings();
    database.attach(&format!("cold => '{}'", database.cold()));
    database.fill(3, 2);
    database.job("rollup");
    database.run(&format!(
        "INSERT INTO readings VALUES ({}, 'A', 7);
         SELECT strata.alter_job('flush', '7 minutes'); SELECT strata.pause_job('archive');
         INSERT INTO strata.manifest (source_id, day, rows, content_hash, state, bytes)
         SELECT source_id, '{}', 1, '1-{:032x}', 'archived', 1 FROM strata.sources;
         INSERT INTO strata.anomaly_events (source_id, key, measure, method, detector_version, severity, started_at, peak_at, peak_score)
         SELECT source_id, 'A', 'value', 'range_novelty', 1, 'warning', now(), now(), 2 FROM strata.sources;
         SELECT strata.set_detector('readings', 'value', 'flat_line'), strata.suppress('readings', reason => 'repair');
         INSERT INTO strata.joint_models (source_id, name, version, sensor_keys, measures, options, hold,
                                          trained_from, trained_to, trained_rows, model)
         SELECT source_id, 'network', 1, '{{A}}', '{{value}}', '{{}}', 0, now() - interval '1 day', now(), 100, 'model'
         FROM strata.sources;
         INSERT INTO strata.rejected_samples (source_id, key, time, measures, sqlstate, reason)
         SELECT source_id, 'A', now(), '{{}}', '23514', 'no' FROM strata.sources",
        database.day(1),
        database.date(9),
        1
    ));
    database
}

#[test]
fn a_dump_keeps_the_catalog_and_the_copy_works_on() {
    let database = database();
    let name = format!("{}_copy", database.name);
    tools::dump_and_restore(server(), &database.name, &name);
    let copy = Database::open(server(), &name);
    for sql in KEPT {
        let (there, here) = (copy.ask(sql), database.ask(sql));
        assert!(!here.is_empty(), "{sql} has nothing to compare");
        assert_eq!(there, here, "{sql}");
    }
    copy.stored().assert_same(&database.stored(), "the table");

    // only what waited is waiting: restoring the rows noted no day
    let before = copy.count("SELECT count(*) FROM strata.dirty_log");
    copy.run(&format!("INSERT INTO readings VALUES ({}, 'new', 8)", copy.day(5)));
    assert_eq!(copy.count("SELECT count(*) FROM strata.dirty_log"), before + 1);
    copy.job("rollup");
    let rolled_up = "SELECT count(*) FROM strata.rollups WHERE width = '1 day' AND key = 'new'";
    assert_eq!(copy.count(rolled_up), 1);
    // numbers go on where they were
    copy.run("CREATE TABLE other (time timestamptz, key text, value float8, PRIMARY KEY (key, time))");
    assert_eq!(copy.ask("SELECT strata.attach('other', 'time', 'key')"), "2");
    copy.run("SELECT strata.reset_job('flush')");
    assert_eq!(copy.ask("SELECT schedule FROM strata.jobs WHERE name = 'flush'"), "5 minutes");
}
