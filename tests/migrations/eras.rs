//! Behind which entries the streams go on with an era is kept for as long as the era, also of eras that were opened before that.

use outbox_migrations::Set;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use system_tests::{Result, Schema, World};

type Start = (i64, String, i32, i64, i64, i64);

/// One step, as it stands in its file.
async fn apply(connection: &mut PgConnection, (version, name): (i64, &str)) -> Result {
    let file = format!(
        "{}/../migrations/sql/log/{version:04}_{name}.sql",
        env!("CARGO_MANIFEST_DIR")
    );
    connection
        .execute(AssertSqlSafe(std::fs::read_to_string(file)?))
        .await?;
    Ok(())
}

async fn starts(connection: &mut PgConnection) -> Result<Vec<Start>> {
    Ok(sqlx::query_as(
        "select batch_number, topic, partition, first_position, kept_batch_id, kept_position from outbox.era_start
         order by batch_number, topic, partition",
    )
    .fetch_all(connection)
    .await?)
}

/// An era of five topics. Of one the progress is there, of three it is gone; of these one was known, one is new and one was as it should be.
/// One is of somebody else.
const BEFORE: &str = r#"
    set session_replication_role = replica;
    insert into outbox.topic (name) values ('there'), ('gone'), ('new'), ('quiet'), ('foreign');
    insert into outbox.batch (number, batch_id, kind, era, epoch, snapshot, event_count, first_position, last_position)
    values (1, 10, 'cut', 1, 1, pg_current_snapshot(), 4, 1, 4), (2, 20, 'era', 2, 1, pg_current_snapshot(), 2, 5, 6);
    insert into outbox.era (era, system_identifier, timeline, position_floor, batch_number, batch_id, cut_through)
    values (2, 1, 1, 6, 2, 20, 4);
    insert into outbox.share (batch_number, topic, partition, event_count, first_position, last_position, first_new_position)
    values (2, 'there', 0, 1, 5, 5, 5), (2, 'gone', 0, 1, 6, 6, 6);
    insert into outbox.progress (topic, batch_number, position, chain_batch_id, chain_position, epoch)
    values ('there', 1, 1, 10, 1, 1), ('there', 2, 4, 10, 2, 1), ('there', 2, 5, 20, 5, 1), ('gone', 2, 6, 20, 6, 1), ('quiet', 1, 4, 10, 4, 1);
    insert into outbox.recovery (strategy, reason, state, era, found)
    values ('trust-stream', 'restored', 'done', 2, '{"ledger_batch_id": 10, "streams": [
        {"stream": "gone", "mark": {"is": "unknown", "batch_id": 12}, "top": "12-9", "generated": "12-9", "known": "10-3", "recorded": "10-3", "last": "12-9", "unknown": {"count": 2}},
        {"stream": "new", "mark": {"is": "absent"}, "top": null, "generated": "11-0", "known": null, "recorded": null, "last": null, "unknown": {"count": 0}},
        {"stream": "quiet", "mark": {"is": "known", "batch_id": 10}, "top": "10-4", "generated": "10-4", "known": "10-4", "recorded": "10-4", "last": "10-4", "unknown": {"count": 0}},
        {"stream": "foreign", "mark": {"is": "foreign", "database_id": "other"}, "top": "19-1", "generated": "19-1", "known": null, "recorded": null, "last": "19-1", "unknown": {"count": 7}}
    ]}');
    reset session_replication_role"#;

#[tokio::test]
async fn what_eras_went_on_behind_is_kept_also_of_those_before() -> Result {
    // GIVEN a database that opened an era before there was a place for it
    let world = World::with_schema(Schema::Empty).await?;
    let mut connection = world.connect().await?;
    connection.execute("create schema outbox").await?;
    let steps = Set::Log.steps().iter().map(|step| (step.version, step.name));
    let (kept, before): (Vec<_>, Vec<_>) = steps.partition(|(version, _)| *version > 14);
    for step in before {
        apply(&mut connection, step).await?;
    }
    connection.execute(BEFORE).await?;
    // WHEN it is migrated THEN the place has what the progress says, and where that is gone, what the recovery had found
    for step in kept {
        apply(&mut connection, step).await?;
    }
    let of =
        |number, topic: &str, first, batch, position| (number, topic.to_owned(), 0, first, batch, position);
    let known = [
        of(2, "gone", 6, 12, 9),
        of(2, "new", 0, 0, 0),
        of(2, "there", 5, 10, 2),
    ];
    assert_eq!(starts(&mut connection).await?, known);
    // AND WHEN another one is opened THEN what that goes on behind is there with it
    let mut transaction = connection.begin().await?;
    transaction
        .execute(
            "insert into outbox.batch (number, batch_id, kind, era, epoch, snapshot, event_count, first_position, last_position)
             select 3, 30, 'era', 3, 1, pg_current_snapshot(), 0, 6, 6;
             insert into outbox.era (era, system_identifier, timeline, position_floor, batch_number, batch_id, cut_through) values (3, 1, 1, 6, 3, 30, 6);
             insert into outbox.progress (topic, batch_number, position, chain_batch_id, chain_position, epoch) values ('quiet', 3, 0, 10, 4, 1)",
        )
        .await?;
    transaction.commit().await?;
    assert_eq!(
        starts(&mut connection).await?,
        [known.as_slice(), &[of(3, "quiet", 0, 10, 4)]].concat()
    );
    let changed = connection.execute("delete from outbox.era_start").await;
    assert!(changed.is_err(), "{changed:?}");
    Ok(())
}
