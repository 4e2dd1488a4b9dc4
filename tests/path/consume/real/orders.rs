//! Real orders, each a life cycle: a consumer that refuses an order out of its state order refuses none.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::BoxFuture;
use outbox_core::append::NewEvent;
use outbox_core::consume::{HandlerError, HandlerResult};
use outbox_core::event::Event;
use sqlx::{PgConnection, PgPool};
use system_tests::patience::until;
use system_tests::real_input::{self, Order, STATES};
use system_tests::{Failure, Result};
use tokio::task::JoinSet;

use super::super::bench::Member;
use super::{Path, append};

const TOPIC: &str = "orders";
const ORDERS: usize = 2000;
const WRITERS: usize = 4;
const LIMIT: Duration = Duration::from_secs(120);

/// No row means that the order is not where the event takes it from.
const BEGIN: &str = "insert into public.life (id, states) values ($1, array[$2]) on conflict do nothing";
const MOVE_ON: &str = "update public.life set states = states || $2
                       where id = $1 and array_position($3::text[], states[cardinality(states)]) <= $4";

fn advance<'a>(transaction: &'a mut PgConnection, event: &'a Event) -> BoxFuture<'a, HandlerResult> {
    Box::pin(async move {
        let states: Vec<&str> = STATES.iter().map(|(state, _)| *state).collect();
        let place = states.iter().position(|state| *state == event.r#type);
        let place = place.ok_or_else(|| HandlerError::new("no state of an order").permanent())?;
        let mut statement = sqlx::query(if place == 0 { BEGIN } else { MOVE_ON })
            .bind(&event.key)
            .bind(&event.r#type);
        if place > 0 {
            statement = statement.bind(&states).bind(i32::try_from(place)?);
        }
        let moved = statement.execute(transaction).await?;
        if moved.rows_affected() == 1 {
            return Ok(());
        }
        // For good: a dead letter at once.
        Err(HandlerError::new("the order is not in a state before this one").permanent())
    })
}

fn member(path: &Path) -> Result<Member> {
    Member::start(path.describe("fulfilment").on(TOPIC, advance))
}

/// The lives of these orders, state by state, so that the events of one order are far apart.
fn lives(orders: &[Order]) -> impl Iterator<Item = NewEvent> {
    (0..STATES.len()).flat_map(move |place| {
        orders.iter().filter_map(move |order| {
            let state = order.life.get(place)?;
            let event = NewEvent::new(TOPIC).event_type(*state).key(&order.id);
            Some(event.json_text(&order.json))
        })
    })
}

/// Everything is on its way, one member joins and one crashes.
async fn through_members(path: &Path, orders: &[Order]) -> Result {
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let own: Vec<Order> = orders.iter().skip(writer).step_by(WRITERS).cloned().collect();
        let url = path.world.database_url().to_owned();
        writers.spawn(async move { append(&url, lives(&own)).await });
    }
    let expected: usize = orders.iter().map(|order| order.life.len()).sum();
    let crashing = member(path)?;
    let staying = member(path)?;
    moved(&path.pool, expected / 4).await?;
    let joining = member(path)?;
    moved(&path.pool, expected / 2).await?;
    crashing.crash().await;
    while let Some(written) = writers.join_next().await {
        written??;
    }
    moved(&path.pool, expected).await?;
    staying.stop().await?;
    joining.stop().await
}

/// Waits until so many states were entered. A refusal ends the wait: it will never be so many.
async fn moved(pool: &PgPool, events: usize) -> Result {
    let query = "select (select coalesce(sum(cardinality(states)), 0)::bigint from public.life),
                        (select count(*) from outbox.dead_letter)";
    until("the orders moved on", LIMIT, async || {
        let (moved, refused): (i64, i64) = sqlx::query_as(query).fetch_one(pool).await?;
        if refused > 0 {
            return Err(Failure::new(format!("{refused} refusals after {moved} states")));
        }
        Ok((moved >= i64::try_from(events)?).then_some(()))
    })
    .await
}

#[tokio::test]
async fn real_orders_over_four_partitions_and_three_members_meet_no_refusal() -> Result {
    let Some(mut orders) = real_input::orders()? else {
        return Ok(());
    };
    assert!(orders.len() > 4000, "{} orders: another file?", orders.len());
    // As many as are through within seconds.
    orders.truncate(ORDERS);
    // GIVEN a topic of four partitions, and a consumer that refuses an order out of its state order
    let effects = "create table public.life (id text primary key, states text[] not null)";
    let mut path = Path::open(TOPIC, 4, effects).await?;
    // WHEN the orders are written side by side, while members come and crash
    through_members(&path, &orders).await?;
    assert!(path.relay.terminate().await?.success());
    // THEN each went through the states that the file says, and nothing was refused
    let lives: Vec<(String, Vec<String>)> = sqlx::query_as("select id, states from public.life")
        .fetch_all(&path.pool)
        .await?;
    let lives: HashMap<String, Vec<String>> = lives.into_iter().collect();
    assert_eq!(lives.len(), orders.len());
    for order in &orders {
        assert_eq!(lives[&order.id], order.life, "order {}", order.id);
    }
    let waiting: i64 = sqlx::query_scalar(
        "select (select count(*) from outbox.parked_lane) + (select count(*) from outbox.dead_letter)",
    )
    .fetch_one(&path.pool)
    .await?;
    assert_eq!(waiting, 0);
    Ok(())
}
