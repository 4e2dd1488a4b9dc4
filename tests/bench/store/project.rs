//! A subscription that inserts a row per event, and a loop that selects the rows and inserts as many.

use std::time::{Duration, Instant};

use outbox_core::event_store::subscription::{BoxFuture, EventHandler, HandlerResult, Runner, Subscription};
use outbox_core::event_store::{PageLimits, StoredEvent, StreamName};
use sqlx::{Connection as _, Executor as _, PgConnection, Row as _};
use system_tests::patience::until;
use system_tests::{Failure, Result};
use tokio_util::sync::CancellationToken;

use super::append::{append, insert};
use super::ground::{Ground, raw_stream};
use super::load::row;

const LIMIT: Duration = Duration::from_secs(600);
/// Events of each stream, and of each append.
const EVENTS_PER_STREAM: u32 = 1_000;
const TABLE: &str = "create table bench.effect (n bigint generated always as identity, stream text not null, version bigint not null, type text not null)";
const EFFECT: &str = "insert into bench.effect (stream, version, type) values ($1, $2, $3)";
const RAW_SELECT: &str = "select position, recorded_at, version, id, source, type, subject, time, data_content_type, data_schema, schema_version,
    correlation_id, causation_id, traceparent, tracestate, extensions::text as extensions, tags, topic, data, data_binary, stream::text
    from bench.raw where stream = any($1) and position > $2 order by position limit $3";

struct Effect;

impl EventHandler for Effect {
    fn handle<'a>(
        &'a self,
        transaction: &'a mut PgConnection,
        event: &'a StoredEvent,
    ) -> BoxFuture<'a, HandlerResult> {
        Box::pin(async move {
            sqlx::query(EFFECT)
                .bind(event.stream.as_str())
                .bind(i64::try_from(event.version)?)
                .bind(&event.event.r#type)
                .execute(transaction)
                .await?;
            Ok(())
        })
    }
}

pub(super) async fn ours(ground: &mut Ground, events: u32) -> Result<(usize, f64)> {
    let category = stored(ground, events).await?;
    let mut connection = ground.connect().await?;
    empty(&mut connection).await?;
    let token = CancellationToken::new();
    let began = Instant::now();
    let subscription = Subscription::new(category.as_str()).categories([category.as_str()]);
    let running = tokio::spawn(Runner::new(ground.pool().clone(), subscription, Effect).run(token.clone()));
    until("every event is projected", LIMIT, async || {
        let done: i64 = sqlx::query_scalar("select count(*) from bench.effect")
            .fetch_one(&mut connection)
            .await?;
        Ok((done >= i64::from(events)).then_some(()))
    })
    .await?;
    let seconds = began.elapsed().as_secs_f64();
    token.cancel();
    running.await??;
    check(&mut connection, events).await?;
    Ok((events as usize, seconds))
}

/// Appends the events to streams of a category of their own, and names it.
pub(super) async fn stored(ground: &mut Ground, events: u32) -> Result<String> {
    let category = format!("projected{}", ground.new_streams(1).start);
    let mut connection = ground.connect().await?;
    for stream in 0..events / EVENTS_PER_STREAM {
        let name = StreamName::new(&category, stream)?;
        append(&mut connection, &name, 0, EVENTS_PER_STREAM as usize).await?;
    }
    Ok(category)
}

pub(super) async fn raw(ground: &mut Ground, events: u32) -> Result<(usize, f64)> {
    let count = events / EVENTS_PER_STREAM;
    let streams: Vec<i64> = ground
        .new_streams(u64::from(count))
        .map(raw_stream)
        .collect::<Result<_>>()?;
    let mut connection = ground.connect().await?;
    for stream in &streams {
        insert(&mut connection, *stream, 0, EVENTS_PER_STREAM as usize).await?;
    }
    empty(&mut connection).await?;
    let page = i64::from(PageLimits::default().events_max);
    let (mut done, mut after) = (0, 0_i64);
    let began = Instant::now();
    loop {
        let mut transaction = connection.begin().await?;
        let rows = sqlx::query(RAW_SELECT)
            .bind(&streams)
            .bind(after)
            .bind(page)
            .fetch_all(&mut *transaction)
            .await?;
        for found in &rows {
            drop(row(found)?);
            sqlx::query(EFFECT)
                .bind(found.try_get::<String, _>("stream")?)
                .bind(found.try_get::<i64, _>("version")?)
                .bind(found.try_get::<String, _>("type")?)
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        done += rows.len();
        match rows.last() {
            Some(last) => after = last.try_get("position")?,
            None => break,
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    check(&mut connection, events).await?;
    Ok((done, seconds))
}

/// Each event has one effect, and those of a stream are in its order.
async fn check(connection: &mut PgConnection, events: u32) -> Result {
    let (effects, distinct, turned): (i64, i64, i64) = sqlx::query_as(
        "select count(*), count(distinct (stream, version)), count(*) filter (where version <> coalesce(before, 0) + 1)
         from (select stream, version, lag(version) over (partition by stream order by n) as before from bench.effect) effect",
    )
    .fetch_one(connection)
    .await?;
    if (effects, distinct, turned) == (i64::from(events), i64::from(events), 0) {
        return Ok(());
    }
    Err(Failure::new(format!(
        "{effects} effects of {distinct} of {events} events, {turned} not behind the one before it"
    )))
}

async fn empty(connection: &mut PgConnection) -> Result {
    connection.execute("drop table if exists bench.effect").await?;
    connection.execute(TABLE).await?;
    Ok(())
}
