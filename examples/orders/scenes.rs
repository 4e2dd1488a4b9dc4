//! The scenes, in their order, each with what is compared in it.

use std::path::Path;
use std::time::Duration;

use outbox_core::event_store::projection::{InlineProjections, Projection, ProjectionRunner};
use outbox_core::event_store::subscription::{Error, Subscription, WaitFor, Waited, wait_for};

use super::CATEGORY;
use super::board::Board;
use super::loyalty::{self, Loyalty};
use super::projections::{Days, Deliveries, Statuses};
use super::raw::{self, check, count};
use super::reader::{OrdersStream, Reader};
use super::report::Check;
use super::run::Source;
use super::stage::{LIMIT, Running, Stage, until};
use super::store::{Store, Written};
use crate::Result;

/// Orders of one transaction.
const BATCH: u64 = 200;
/// What is said of a rebuild where nothing differed.
const SAME: &str = "same rows";

/// Everything that is at work.
pub(super) struct Show {
    pub(super) board: Board,
    pub(super) stage: Stage,
    pub(super) store: Store,
    pub(super) source: Source,
    pub(super) written: Written,
    /// Orders in the file.
    pub(super) total: u64,
}

impl Show {
    pub(super) async fn play(&mut self, file: &Path, checks: &mut Vec<Check>) -> Result {
        let days = self.asynchronous(Days::NAME, 1, Days::new()?);
        let stub = self.asynchronous(loyalty::NAME, 1, Loyalty::stub()?);
        self.import(self.total * 3 / 4).await?;
        let points = self.mend_loyalty(stub, checks).await?;
        let statuses = self.project_inline(checks).await?;
        let deliveries = self.asynchronous(Deliveries::NAME, 2, Deliveries::new()?);
        self.board.say(&format!(
            "{} is added only now: it begins with the oldest event",
            Deliveries::NAME
        ));
        for name in [Days::NAME, loyalty::NAME, Deliveries::NAME] {
            self.applied(name).await?;
        }
        self.compare(checks).await?;
        self.import_again(file, checks).await?;
        self.put_out_again(checks).await?;
        for running in [days, points, statuses, deliveries] {
            running.stop().await?;
        }
        Ok(())
    }

    fn asynchronous(&self, name: &str, partitions: u16, projection: impl Projection) -> Running {
        let subscription = subscription(name).partitions(partitions);
        Running::of(ProjectionRunner::asynchronous(
            self.stage.pool.clone(),
            subscription,
            projection,
        ))
    }

    /// The first orders, in batches.
    async fn import(&mut self, wanted: u64) -> Result {
        let mut bar = self.board.bar("orders imported", wanted);
        while self.written.orders < wanted {
            let orders = self.source.take(BATCH.min(wanted - self.written.orders))?;
            if orders.is_empty() {
                break;
            }
            self.written.add(self.store.append_batch(&orders).await?);
            bar.reached(self.written.orders);
        }
        drop(bar);
        self.board.say(&format!(
            "{} orders are streams of {} events, in batches; the first version of {} credits nobody",
            self.written.orders,
            self.written.events,
            loyalty::NAME
        ));
        Ok(())
    }

    /// Points that were missing come by a rebuild, while orders go on coming, each step decided.
    async fn mend_loyalty(&mut self, stub: Running, checks: &mut Vec<Check>) -> Result<Running> {
        self.applied(loyalty::NAME).await?;
        let pool = self.stage.pool.clone();
        let credited = count(&pool, "select count(*) from loyalty.ledger").await?;
        let paid = count(
            &pool,
            "select count(*) from outbox.stored_event where type = 'order.paid'",
        )
        .await?;
        checks.push(Check::of(
            "orders paid while nobody was credited: none of them in the ledger",
            paid,
            credited,
        ));
        stub.stop().await?;
        let mended = self.asynchronous(loyalty::NAME, 1, Loyalty::mended()?);
        let wanted = self.total * 7 / 8 - self.written.orders;
        let (said, days, reported) = tokio::join!(
            self.stage
                .rebuild(loyalty::NAME, "points were a stub until today", true),
            self.stage
                .rebuild(Days::NAME, "to see that it is the same", false),
            report(&self.board, &self.store, &mut self.source, wanted),
        );
        let reported = reported?;
        self.board.say(&format!(
            "{} orders more by {} decided steps; meanwhile {} was built anew: {}",
            reported.orders,
            reported.events,
            loyalty::NAME,
            said?
        ));
        self.written.add(reported);
        checks.push(is_same(Days::NAME, days?));
        let entries = count(
            &pool,
            "select count(*) from loyalty.ledger where entry_type = 'paid'",
        )
        .await?;
        checks.push(Check::of(
            "orders paid while nobody was credited: in the ledger by the rebuild",
            paid,
            paid.saturating_sub(entries),
        ));
        let again = sqlx::query(
            "insert into loyalty.ledger (order_id, entry_type, points) select order_id, entry_type, points from loyalty.ledger limit 1",
        )
        .execute(&pool)
        .await;
        let is_refused = again.is_err_and(|error| {
            error
                .as_database_error()
                .is_some_and(|error| error.is_unique_violation())
        });
        checks.push(Check::of(
            "a second entry of one order and reason is refused by its key",
            1,
            u64::from(!is_refused),
        ));
        Ok(mended)
    }

    /// The last orders, with a projection in their transactions that has all of them by a rebuild.
    async fn project_inline(&mut self, checks: &mut Vec<Check>) -> Result<Running> {
        let runner = ProjectionRunner::inline(
            self.stage.pool.clone(),
            subscription(Statuses::NAME),
            Statuses::new()?,
        );
        let running = Running::of(runner);
        self.stage.has_tables(Statuses::NAME).await?;
        let wanted = self.total - self.written.orders;
        let (said, projected) = tokio::join!(
            self.stage
                .rebuild(Statuses::NAME, "what was stored before it was there", true),
            append_projected(&self.board, &self.store, &mut self.source, wanted),
        );
        let projected = projected?;
        self.board.say(&format!(
            "{} orders more with {} in their transactions; meanwhile it was built: {}",
            projected.orders,
            Statuses::NAME,
            said?
        ));
        self.written.add(projected);
        let said = self
            .stage
            .rebuild(Statuses::NAME, "to see that it is the same", false)
            .await?;
        checks.push(is_same(Statuses::NAME, said));
        Ok(running)
    }

    /// Waits until a projection has what was appended last. One that is being made has its tables a moment before there is anything to wait for.
    async fn applied(&self, name: &str) -> Result {
        let last = WaitFor::positions(self.written.positions.clone());
        let what = format!("projection {name} is there");
        let applied = until(&what, async || {
            match wait_for(&self.stage.pool, name, &last, LIMIT).await {
                Ok(waited) => Ok(Some(waited)),
                Err(Error::Gone { .. }) => Ok(None),
                Err(error) => Err(error.into()),
            }
        });
        match applied.await? {
            Waited::Applied => Ok(()),
            waited => Err(format!("projection {name} has not applied what was appended: {waited:?}").into()),
        }
    }

    async fn compare(&self, checks: &mut Vec<Check>) -> Result {
        let pool = &self.stage.pool;
        let bad = raw::bad_lines(pool).await?;
        let ours: Vec<u64> = self.source.bad.iter().map(|(line, _)| *line).collect();
        checks.push(Check::of(
            "each line of the file is an order, or is named with the reason",
            self.total + bad.len() as u64,
            u64::from(ours != bad) + self.total.abs_diff(self.written.orders),
        ));
        for sql in [raw::STREAMS, raw::EVENTS].into_iter().chain(raw::PROJECTIONS) {
            checks.push(check(pool, sql).await?);
        }
        self.board
            .say("the store and its projections are compared with what SQL counts in the file");
        Ok(())
    }

    /// The whole file once more: nothing is doubled.
    async fn import_again(&self, file: &Path, checks: &mut Vec<Check>) -> Result {
        let (mut source, mut again) = (Source::open(file)?, Written::default());
        let mut bar = self.board.bar("orders imported again", self.total);
        loop {
            let orders = source.take(BATCH)?;
            if orders.is_empty() {
                break;
            }
            bar.add(orders.len() as u64);
            again.add(self.store.append_batch(&orders).await?);
        }
        drop(bar);
        checks.push(Check::of(
            "orders that are known when all of it is imported again",
            self.total,
            again.known.abs_diff(self.total) + again.events + again.refused.len() as u64,
        ));
        Ok(())
    }

    /// A consumer that is new has everything; so has the next one, when the stream was lost between.
    async fn put_out_again(&self, checks: &mut Vec<Check>) -> Result {
        let events = self.written.events;
        let mut stream = OrdersStream::of(&self.stage).await?;
        stream.has(events).await?;
        let billing = Reader::start(&self.stage, "billing").await?;
        billing.has(events).await?;
        self.board
            .say("a consumer that is new has every event; now its stream is deleted at Redis");
        stream.lose().await?;
        stream.has(events).await?;
        let returns = Reader::start(&self.stage, "returns").await?;
        returns.has(events).await?;
        self.board
            .say("the stored events were put out again, and the next new consumer has all of them");
        for (what, reader) in [
            ("events handed to a consumer that was there", &billing),
            ("events handed to one that is new after the loss", &returns),
        ] {
            let (all, different) = reader.handed().await?;
            checks.push(Check::of(
                what,
                events,
                events.abs_diff(different) + (all - different),
            ));
        }
        billing.stop().await?;
        returns.stop().await
    }
}

/// As a service would have it, but for the pauses: here everything is on one machine.
fn subscription(name: &str) -> Subscription {
    Subscription::new(name)
        .categories([CATEGORY])
        .poll(Duration::from_millis(100))
}

fn is_same(name: &str, said: String) -> Check {
    Check::of(
        format!("{name}, built anew while events came: {SAME} as the live one"),
        1,
        u64::from(!said.contains(SAME)),
    )
}

/// So many orders more, step by step.
async fn report(board: &Board, store: &Store, source: &mut Source, wanted: u64) -> Result<Written> {
    let (mut written, mut bar) = (Written::default(), board.bar("orders reported", wanted));
    for (line, order) in source.take(wanted)? {
        written.add(store.report(line, &order).await?);
        bar.add(1);
    }
    Ok(written)
}

/// So many orders more, with a projection in their transactions.
async fn append_projected(board: &Board, store: &Store, source: &mut Source, wanted: u64) -> Result<Written> {
    let projections = InlineProjections::new().with(subscription(Statuses::NAME), Statuses::new()?);
    let (mut written, mut bar) = (Written::default(), board.bar("orders appended", wanted));
    let mut positions = Vec::new();
    // One more than there are: what stands behind the last order is read too.
    for (line, order) in source.take(wanted + 1)? {
        let one = store.append_projected(&projections, line, &order).await?;
        positions.extend(one.positions.iter().copied());
        written.add(one);
        bar.add(1);
    }
    written.positions = positions;
    Ok(written)
}
