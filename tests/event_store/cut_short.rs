//! A stream that is truncated or buried while somebody reads it, between two pages: nobody takes what is left for all of it.

use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::TryStreamExt as _;
use outbox_core::append::NewEvent;
use outbox_core::event_store::decide::{Decider, Loaded, Repository};
use outbox_core::event_store::keep;
use outbox_core::event_store::{self, Error, Expected, PageLimits, StreamName, StreamRead};
use sqlx::{PgConnection, PgPool};
use system_tests::{Login, Result, World};
use tokio::sync::Semaphore;

use crate::points::{Balance, Command, Points, PointsEvent, TooFew, points_of};

const REASON: &str = "closed long ago";

/// Where the first load of a test waits for it.
struct Halt {
    is_over: AtomicBool,
    arrived: Semaphore,
    go_on: Semaphore,
}

/// One for each test, told by how many points its events have.
static HALTS: [Halt; 2] = [Halt::new(), Halt::new()];

impl Halt {
    const fn new() -> Self {
        Self {
            is_over: AtomicBool::new(false),
            arrived: Semaphore::const_new(0),
            go_on: Semaphore::const_new(0),
        }
    }

    fn of(points: u64) -> &'static Self {
        &HALTS[usize::from(points > 1)]
    }
}

/// As [`Points`], in a program that is slow once.
struct Slow;

impl Decider for Slow {
    type Command = Command;
    type Event = PointsEvent;
    type State = Balance;
    type Refusal = TooFew;

    fn initial() -> Balance {
        Points::initial()
    }

    fn evolve(balance: Balance, event: &PointsEvent) -> Balance {
        let halt = match event {
            PointsEvent::Earned { points } | PointsEvent::Spent { points } => Halt::of(*points),
        };
        // A page of five has been read.
        if balance.moves == 3 && !halt.is_over.swap(true, Ordering::SeqCst) {
            halt.arrived.add_permits(1);
            tokio::task::block_in_place(|| {
                let permit = tokio::runtime::Handle::current().block_on(halt.go_on.acquire());
                permit.expect("nobody closes it").forget();
            });
        }
        Points::evolve(balance, event)
    }

    fn decide(command: &Command, balance: &Balance) -> std::result::Result<Vec<PointsEvent>, TooFew> {
        Points::decide(command, balance)
    }
}

fn page() -> PageLimits {
    PageLimits {
        events_max: 5,
        ..PageLimits::default()
    }
}

/// A stream with ten events of so many points each.
async fn ten(connection: &mut PgConnection, points: u64) -> Result<StreamName> {
    let stream = points_of(1);
    let earned = NewEvent::stored("points.earned").json(&serde_json::json!({ "points": points }));
    let events = (0..10).map(|_| earned.clone().id(uuid::Uuid::now_v7())).collect();
    let _ = event_store::append(connection, &stream, Expected::NoStream, events).await?;
    Ok(stream)
}

/// A load that is in the middle of its first page until it is let go.
async fn halted(
    pool: PgPool,
    stream: StreamName,
    points: u64,
) -> Result<tokio::task::JoinHandle<std::result::Result<Loaded<Balance>, Error>>> {
    let load = tokio::spawn(async move {
        let mut connection = pool.acquire().await.expect("a connection");
        let repository = Repository::<Slow>::new().expect("types fit").page(page());
        repository.load(&mut connection, &stream).await
    });
    Halt::of(points).arrived.acquire().await?.forget();
    Ok(load)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_of_before_is_no_answer_when_the_rest_was_truncated() -> Result {
    // GIVEN a load that has read five of ten events
    let world = World::new().await?;
    let stream = ten(&mut world.connect().await?, 1).await?;
    let load = halted(world.log().pool_of(Login::Service).await?, stream.clone(), 1).await?;
    // WHEN all of them are truncated, and it goes on
    let mut person = world.log().pool_of(Login::Maintainer).await?.acquire().await?;
    let chunk = keep::truncate_stream(&mut person, &stream, 11, REASON, 100).await?;
    assert!(chunk.is_finished && chunk.events == 10, "{chunk:?}");
    Halt::of(1).go_on.add_permits(1);
    // THEN it has what is left of the stream, which is nothing, at the version where it is
    let loaded = load.await??;
    assert_eq!((loaded.version, loaded.state), (10, Balance::default()));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_of_before_is_no_answer_when_the_stream_was_buried() -> Result {
    let world = World::new().await?;
    let stream = ten(&mut world.connect().await?, 2).await?;
    let load = halted(world.log().pool_of(Login::Service).await?, stream.clone(), 2).await?;
    let mut person = world.log().pool_of(Login::Maintainer).await?.acquire().await?;
    let chunk = keep::tombstone_stream(&mut person, &stream, REASON, 100).await?;
    assert!(chunk.is_finished, "{chunk:?}");
    Halt::of(2).go_on.add_permits(1);
    let loaded = load.await?;
    assert!(matches!(loaded, Err(Error::Gone { .. })), "{loaded:?}");
    Ok(())
}

#[tokio::test]
async fn who_is_between_two_pages_and_who_follows_are_told_that_a_stream_was_buried() -> Result {
    // GIVEN somebody who has read a page of a stream, in either direction
    let world = World::new().await?;
    let pool = world.log().pool_of(Login::Service).await?;
    let stream = ten(&mut world.connect().await?, 2).await?;
    let (mut one, mut two) = (pool.acquire().await?, pool.acquire().await?);
    let forward = StreamRead::of(&stream).limits(page());
    let backward = forward.clone().backward();
    let mut forward = std::pin::pin!(event_store::read_stream(&mut one, forward));
    let mut backward = std::pin::pin!(event_store::read_stream(&mut two, backward));
    for _ in 0..5 {
        assert!(forward.try_next().await?.is_some() && backward.try_next().await?.is_some());
    }
    // WHEN it is buried
    let mut person = world.log().pool_of(Login::Maintainer).await?.acquire().await?;
    let chunk = keep::tombstone_stream(&mut person, &stream, REASON, 100).await?;
    assert!(chunk.is_finished, "{chunk:?}");
    // THEN their next page says so
    for next in [forward.try_next().await, backward.try_next().await] {
        assert!(matches!(next, Err(Error::Gone { .. })), "{next:?}");
    }
    // AND so it does for who follows it from a version on
    let mut three = pool.acquire().await?;
    let follow = StreamRead::of(&stream).from_version(11);
    let followed = event_store::read_page(&mut three, &follow).await;
    assert!(matches!(followed, Err(Error::Gone { .. })), "{followed:?}");
    Ok(())
}
