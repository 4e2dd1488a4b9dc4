//! Importing and crediting, on a real database.

use outbox_core::event_store::projection::Projection as _;
use outbox_core::event_store::{StreamRead, read_page};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool};
use xtask::servers::Postgres;

use super::file::Orders;
use super::loyalty::Loyalty;
use super::row::Order;
use super::store::{Numbered, Store};
use crate::Result;
use crate::backstage::{connect, create_database};

const HEAD: &str = "order_id,customer_id,order_status,order_purchase_timestamp,order_approved_at,order_delivered_carrier_date,\
                    order_delivered_customer_date,order_estimated_delivery_date\n";
const ANN: &str = "a,ann,approved,10/2/2017 10:56,10/2/2017 11:07,,,10/18/2017 0:00\n";
const BOB: &str = "b,bob,canceled,10/2/2017 10:57,10/2/2017 11:30,,,10/18/2017 0:00\n";
const CID: &str =
    "c,cid,delivered,10/2/2017 10:58,10/2/2017 11:30,10/3/2017 9:00,10/19/2017 9:00,10/18/2017 0:00\n";

/// A server with an outbox.
struct World {
    _server: Postgres,
    pool: PgPool,
    store: Store,
}

impl World {
    async fn new() -> Result<Self> {
        let server = Postgres::options().start()?;
        create_database(&server.url("postgres"), "store").await?;
        let url = server.url("store");
        outbox_migrations::migrate_log(&mut PgConnection::connect(&url).await?).await?;
        let pool = connect(&url, "test", 4).await?;
        Ok(Self {
            store: Store::new(pool.clone())?,
            pool,
            _server: server,
        })
    }

    async fn events(&self) -> Result<i64> {
        Ok(sqlx::query_scalar("select count(*) from outbox.stored_event")
            .fetch_one(&self.pool)
            .await?)
    }
}

fn orders(lines: &[&str]) -> Result<Vec<Numbered>> {
    let text = format!("{HEAD}{}", lines.concat());
    let mut file = Orders::new(text.as_bytes())?;
    let mut orders = Vec::new();
    while let Some((line, order)) = file.next_line()? {
        orders.push((line, order?));
    }
    Ok(orders)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_imported_once_whichever_way_and_a_row_that_changed_is_named() -> Result {
    // GIVEN two orders that were imported, and one whose steps were reported
    let world = World::new().await?;
    let written = world.store.append_batch(&orders(&[ANN, BOB])?).await?;
    assert_eq!((written.orders, written.events, written.known), (2, 5, 0));
    let all = orders(&[ANN, BOB, CID])?;
    let (line, cid) = &all[2];
    let reported = world.store.report(*line, cid).await?;
    assert_eq!((reported.orders, reported.events), (1, 4));
    // WHEN they are imported again, in other batches and the other way round THEN nothing is appended
    for batch in [&all[..], &all[..2], &all[2..]] {
        let again = world.store.append_batch(batch).await?;
        assert_eq!(
            (again.orders, again.events, again.known),
            (0, 0, batch.len() as u64)
        );
    }
    for (line, order) in &all {
        let again = world.store.report(*line, order).await?;
        assert_eq!((again.orders, again.known, again.refused.len()), (0, 1, 0));
    }
    assert_eq!(world.events().await?, 9);
    // WHEN a row is another one now, between new ones THEN it is named, and the new ones are there
    let new = "d,dan,created,10/5/2017 8:00,,,,10/18/2017 0:00\n";
    let later = orders(&[&ANN.replace("11:07", "11:08"), new, BOB])?;
    let mended = world.store.append_batch(&later).await?;
    assert_eq!((mended.orders, mended.events, mended.known), (1, 1, 1));
    assert_eq!(mended.refused.len(), 1);
    assert_eq!(mended.refused[0].0, 2);
    assert!(
        mended.refused[0].1.contains("another row"),
        "{}",
        mended.refused[0].1
    );
    assert_eq!(world.events().await?, 10);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_credited_once_for_a_reason_however_often_its_events_are_handed_over() -> Result {
    // GIVEN an order that was paid and canceled, and one that was late
    let world = World::new().await?;
    let all = orders(&[BOB, CID])?;
    world.store.append_batch(&all).await?;
    let loyalty = Loyalty::mended()?;
    let mut connection = world.pool.acquire().await?;
    for statement in loyalty.create() {
        sqlx::raw_sql(AssertSqlSafe(statement))
            .execute(&mut *connection)
            .await?;
    }
    // WHEN what is credited for is handed over twice
    for (_, Order { stream, .. }) in &all {
        let events = read_page(&mut connection, &StreamRead::of(stream)).await?;
        for (place, event) in events.iter().enumerate() {
            for _ in 0..if place == 0 { 1 } else { 2 } {
                loyalty.apply(&mut connection, event).await?;
            }
        }
    }
    // THEN it counts once
    let ledger: Vec<(String, String, i64)> =
        sqlx::query_as("select order_id, entry_type, points from ledger order by 1, 2")
            .fetch_all(&mut *connection)
            .await?;
    let entry = |order: &str, reason: &str, points| (order.to_owned(), reason.to_owned(), points);
    assert_eq!(
        ledger,
        [
            entry("b", "canceled", -10),
            entry("b", "paid", 10),
            entry("c", "late", 5),
            entry("c", "paid", 10)
        ]
    );
    let balances: Vec<(String, i64)> = sqlx::query_as("select customer, points from balances order by 1")
        .fetch_all(&mut *connection)
        .await?;
    assert_eq!(balances, [("bob".to_owned(), 0), ("cid".to_owned(), 15)]);
    Ok(())
}
