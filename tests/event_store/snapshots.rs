//! Snapshots of aggregates: a shortcut, and never anything else.

use std::sync::atomic::{AtomicU64, Ordering};

use outbox_core::event_store::StreamName;
use outbox_core::event_store::decide::{Context, Decided, Decider, Loaded, Repository, Snapshots};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use sqlx::PgConnection;
use system_tests::{Login, Result, World};

use crate::points::{Balance, Command, Points, PointsEvent, TooFew, points_of};

/// What could be wrong with the snapshots of a database, each a statement about all of them.
const HARMS: [&str; 10] = [
    "select 1",
    "delete from outbox.stream_snapshot",
    "update outbox.stream_snapshot set state = left(state, -1)",
    "update outbox.stream_snapshot set state = replace(state, '1', '2')",
    "update outbox.stream_snapshot set state = 'no JSON', digest = sha256('no JSON')",
    "update outbox.stream_snapshot set version = version + 3",
    "update outbox.stream_snapshot set version = version - 1 where version > begins",
    "update outbox.stream_snapshot set event = gen_random_uuid()",
    "update outbox.stream_snapshot set digest = ''",
    // Each stream gets that of its neighbour, digest and all.
    "update outbox.stream_snapshot s
     set begins = o.begins, version = o.version, event = o.event, state = o.state, digest = o.digest
     from outbox.stream_snapshot o
     where o.stream = (select max(stream) from outbox.stream_snapshot) and s.stream <> o.stream and s.shape_version = o.shape_version",
];

fn with_snapshots(shape_version: u32) -> Repository<Points> {
    Repository::new()
        .expect("types and upcasters fit")
        .snapshots(Snapshots::of("balance", shape_version).every(3))
}

async fn earn(
    connection: &mut PgConnection,
    repository: &Repository<Points>,
    stream: &StreamName,
    points: u64,
) -> Result {
    let decided = repository
        .execute(connection, stream, &Command::Earn(points), &Context::none())
        .await?;
    assert!(matches!(decided, Decided::Appended { .. }), "{decided:?}");
    Ok(())
}

#[tokio::test]
async fn whatever_is_wrong_with_a_snapshot_the_state_is_that_of_the_events() -> Result {
    let seed: u64 = rand::rng().random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    let plain = Repository::<Points>::new()?;
    let mut old_copy = false;
    for round in 0..150 {
        let stream = points_of(random.random_range(1..=3));
        // Programs of two versions of the shape are at work.
        let repository = with_snapshots(random.random_range(1..=2));
        earn(
            &mut connection,
            &repository,
            &stream,
            random.random_range(1..=1_000),
        )
        .await?;
        let harm = HARMS[random.random_range(0..HARMS.len())];
        if random.random_bool(0.4) {
            sqlx::raw_sql(harm).execute(&mut connection).await?;
        }
        if random.random_bool(0.1) {
            let put_back = "truncate outbox.stream_snapshot; insert into outbox.stream_snapshot select * from pg_temp.old_copy;";
            let take = "drop table if exists pg_temp.old_copy; create temporary table old_copy as select * from outbox.stream_snapshot";
            let take = if old_copy {
                format!("{put_back} {take}")
            } else {
                take.to_owned()
            };
            sqlx::raw_sql(sqlx::AssertSqlSafe(take))
                .execute(&mut connection)
                .await?;
            old_copy = true;
        }
        if random.random_bool(0.1) {
            sqlx::query("select outbox.truncate_stream($1, 1 + (outbox.version_of(id) * $2)::bigint, 'test') from outbox.stream where name = $1")
                .bind(stream.as_str())
                .bind(random.random_range(0.0..1.0))
                .execute(&mut connection)
                .await?;
        }
        for version in [1, 2] {
            for customer in 1..=3 {
                let stream = points_of(customer);
                let loaded = with_snapshots(version).load(&mut connection, &stream).await?;
                let folded: Loaded<Balance> = plain.load(&mut connection, &stream).await?;
                assert_eq!(
                    loaded, folded,
                    "round {round}, {stream}, shape {version}, seed {seed}, after {harm}"
                );
            }
        }
    }
    Ok(())
}

static FOLDED: AtomicU64 = AtomicU64::new(0);

/// Points, and how often anything was folded in this process.
struct Counted;

impl Decider for Counted {
    type Command = Command;
    type Event = PointsEvent;
    type State = Balance;
    type Refusal = TooFew;

    fn initial() -> Balance {
        Points::initial()
    }

    fn evolve(balance: Balance, event: &PointsEvent) -> Balance {
        FOLDED.fetch_add(1, Ordering::Relaxed);
        Points::evolve(balance, event)
    }

    fn decide(command: &Command, balance: &Balance) -> std::result::Result<Vec<PointsEvent>, TooFew> {
        Points::decide(command, balance)
    }
}

#[tokio::test]
async fn a_load_begins_at_the_snapshot_which_is_made_every_so_many_events() -> Result {
    let world = World::new().await?;
    let pool = world.log().pool_of(Login::Service).await?;
    let mut connection = pool.acquire().await?;
    let mut watcher = world.connect().await?;
    let repository = Repository::<Counted>::new()?.snapshots(Snapshots::of("balance", 1).every(10));
    let stream = points_of(1);
    let mut kept = Vec::new();
    for _ in 0..35 {
        let _ = repository
            .execute(&mut connection, &stream, &Command::Earn(2), &Context::none())
            .await?;
        kept.extend(
            sqlx::query_scalar::<_, i64>("select version from outbox.stream_snapshot")
                .fetch_optional(&mut watcher)
                .await?,
        );
    }
    kept.dedup();
    assert_eq!(kept, [10, 20, 30]);
    FOLDED.store(0, Ordering::Relaxed);
    let loaded = repository.load(&mut connection, &stream).await?;
    assert_eq!(
        (loaded.version, loaded.state.points, loaded.state.moves),
        (35, 70, 35)
    );
    assert_eq!(
        FOLDED.load(Ordering::Relaxed),
        5,
        "only what came behind the snapshot"
    );

    let newer = repository
        .clone()
        .snapshots(Snapshots::of("balance", 2).every(10));
    assert_eq!(newer.load(&mut connection, &stream).await?, loaded);
    assert_eq!(
        FOLDED.load(Ordering::Relaxed),
        5 + 35,
        "another shape is passed over"
    );

    // What was made of events that are gone goes with them.
    sqlx::raw_sql("select outbox.truncate_stream('points-1', 3, 'old')")
        .execute(&mut watcher)
        .await?;
    let left: i64 = sqlx::query_scalar("select count(*) from outbox.stream_snapshot")
        .fetch_one(&mut watcher)
        .await?;
    assert_eq!(left, 0);
    Ok(())
}

#[tokio::test]
async fn a_snapshot_of_another_history_is_passed_over() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    for customer in [1, 2] {
        for points in [1, 2, 3] {
            earn(
                &mut connection,
                &with_snapshots(1),
                &points_of(customer),
                points * u64::from(customer),
            )
            .await?;
        }
    }
    // A whole one, of as many events, that are not those of this stream.
    sqlx::raw_sql(
        "update outbox.stream_snapshot s set event = o.event, state = o.state, digest = o.digest
         from outbox.stream_snapshot o where o.stream < s.stream",
    )
    .execute(&mut connection)
    .await?;
    let loaded = with_snapshots(1).load(&mut connection, &points_of(2)).await?;
    assert_eq!((loaded.version, loaded.state.points), (3, 12));
    Ok(())
}
