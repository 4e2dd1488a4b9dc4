//! A call that is all that its transaction does: as many events as there are, no savepoint before it, and found out all the same.

use outbox_core::consume::{BatchHandler, BoxFuture, HandlerError, HandlerResult, PgConnection};
use outbox_core::event::Event;
use sqlx::Connection as _;
use system_tests::Result;

use super::bench::{Bench, Member, TOPIC};
use super::slices::Slices;

/// What becomes of a slice with this order in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Harm {
    None,
    /// The handler says that it failed.
    Refused(i64),
    /// A statement fails, and the handler says nothing of it.
    Aborted(i64),
    /// The handler undoes the transaction, and says nothing of it.
    RolledBack(i64),
    /// The handler begins a transaction inside of it, which is never ended, and says nothing of it.
    LeftOpen(i64),
    /// The handler undoes the transaction, leaves a setting with the session, and says that it failed.
    SetAndRefused(i64),
}

/// Notes all orders by one statement, and how many it was given.
#[derive(Clone)]
struct Notes {
    slices: Slices,
    harm: Harm,
}

impl Notes {
    fn new(harm: Harm) -> Self {
        Self {
            slices: Slices::default(),
            harm,
        }
    }
}

impl BatchHandler for Notes {
    fn handle<'a>(&'a self, tx: &'a mut PgConnection, events: &'a [Event]) -> BoxFuture<'a, HandlerResult> {
        Box::pin(async move {
            let numbers = self.slices.note(&mut *tx, events).await?;
            match self.harm {
                Harm::Refused(number) if numbers.contains(&number) => Err(HandlerError::new("refused")),
                Harm::Aborted(number) if numbers.contains(&number) => {
                    let failed = sqlx::raw_sql("select 1 / 0").execute(tx).await;
                    assert!(failed.is_err(), "it divided by nothing");
                    Ok(())
                }
                Harm::RolledBack(number) if numbers.contains(&number) => {
                    sqlx::raw_sql("rollback").execute(tx).await?;
                    Ok(())
                }
                Harm::LeftOpen(number) if numbers.contains(&number) => {
                    std::mem::forget(tx.begin().await?);
                    Ok(())
                }
                Harm::SetAndRefused(number) if numbers.contains(&number) => {
                    sqlx::raw_sql("rollback; set application_name = 'left behind'")
                        .execute(tx)
                        .await?;
                    Err(HandlerError::new("refused"))
                }
                _ => Ok(()),
            }
        })
    }
}

/// So many events, each of a key of its own.
async fn put_apart(bench: &mut Bench, count: usize) -> Result {
    let keys: Vec<String> = (0..count).map(|n| format!("key-{n}")).collect();
    bench
        .put_all(&keys.iter().map(String::as_str).collect::<Vec<_>>())
        .await
}

#[tokio::test]
async fn its_effects_belong_to_the_transaction_itself() -> Result {
    // GIVEN twenty events of one key
    let mut bench = Bench::new().await?;
    bench.put_all(&["a"; 20]).await?;
    // WHEN a handler takes them by the slice
    let notes = Notes::new(Harm::None);
    let member = Member::start(bench.describe().concurrency(1).on_batch(TOPIC, notes.clone()))?;
    bench.effects(20).await?;
    member.stop().await?;
    // THEN each effect was written by the transaction that wrote the rows of the inbox, and by no savepoint of it
    assert!(notes.slices.sizes().len() < 20, "{:?}", notes.slices.sizes());
    let apart: i64 = bench
        .value("select count(*) from effect where not exists (select from outbox.inbox where inbox.xmin = effect.xmin)")
        .await?;
    assert_eq!(apart, 0);
    Ok(())
}

#[tokio::test]
async fn behind_it_takes_more_events_than_usual_unless_a_number_was_said() -> Result {
    for (said, least, most) in [(None, 33, 64), (Some(10), 10, 10)] {
        // GIVEN many events of many keys
        let mut bench = Bench::new().await?;
        put_apart(&mut bench, 600).await?;
        // WHEN they are handed over by the slice
        let notes = Notes::new(Harm::None);
        let mut describe = bench.describe().concurrency(1).on_batch(TOPIC, notes.clone());
        if let Some(said) = said {
            describe = describe.batch(said);
        }
        let member = Member::start(describe)?;
        let effects = bench.effects(600).await?;
        member.stop().await?;
        // THEN a slice is as large as may be, and no event had two effects
        assert_eq!(effects.len(), 600);
        let largest = notes.slices.sizes().into_iter().max();
        assert!(
            largest.is_some_and(|largest| (least..=most).contains(&largest)),
            "{:?}",
            notes.slices.sizes()
        );
        assert_eq!(notes.slices.sizes().iter().sum::<usize>(), 600);
    }
    Ok(())
}

#[tokio::test]
async fn of_a_large_slice_that_failed_few_are_tried_in_one_transaction() -> Result {
    // GIVEN many events of many keys, one of which is refused when slices are large
    let mut bench = Bench::new().await?;
    put_apart(&mut bench, 600).await?;
    let notes = Notes::new(Harm::Refused(300));
    // WHEN they are handed over by the slice
    let member = Member::start(bench.describe().concurrency(1).on_batch(TOPIC, notes.clone()))?;
    bench.until("select count(*) = 1 from outbox.dead_letter").await?;
    let effects = bench.effects(599).await?;
    member.stop().await?;
    // THEN that one is given up after its own attempts, and all others are applied once
    let (id, attempts): (String, i32) = sqlx::query_as("select id, attempts from outbox.dead_letter")
        .fetch_one(&bench.pool)
        .await?;
    assert_eq!((id.as_str(), attempts), ("event-300", 3));
    assert_eq!(effects.len(), 599);
    // AND no transaction had more calls than usual: no more than 32 of its own follow each other, and two of what was parked
    let sizes = notes.slices.sizes();
    let runs = sizes.split(|size| *size > 1).map(<[usize]>::len);
    assert!(sizes.iter().any(|size| *size > 32), "{sizes:?}");
    assert!(
        runs.max().is_some_and(|longest| (2..=34).contains(&longest)),
        "{sizes:?}"
    );
    Ok(())
}

#[tokio::test]
async fn what_it_left_aborted_or_undid_is_found_out_and_the_others_are_applied() -> Result {
    for (harm, class) in [
        (Harm::Aborted(5), "25P02"),
        (Harm::RolledBack(5), "25P01"),
        // Later attempts are made in another way, which finds a savepoint where it has none.
        (Harm::LeftOpen(5), "3B001"),
        (Harm::SetAndRefused(5), "handler"),
    ] {
        // GIVEN a handler that answers success for a slice with order 5 in it, of which nothing is left; and one event apart
        for count in [20, 5] {
            let mut bench = Bench::new().await?;
            put_apart(&mut bench, count).await?;
            let notes = Notes::new(harm);
            // WHEN it is consumed
            let member = Member::start(bench.describe().on_batch(TOPIC, notes))?;
            bench.until("select count(*) = 1 from outbox.dead_letter").await?;
            let others = i64::try_from(count)? - 1;
            let effects = bench.effects(others).await?;
            member.stop().await?;
            // THEN that one has failed, each time, and all others have their effect once
            let (id, found, attempts): (String, String, i32) =
                sqlx::query_as("select id, error_class, attempts from outbox.dead_letter")
                    .fetch_one(&bench.pool)
                    .await?;
            assert_eq!(
                (id.as_str(), found.as_str(), attempts),
                ("event-5", class, 3),
                "{harm:?}"
            );
            let distinct: i64 = bench.value("select count(distinct number) from effect").await?;
            assert_eq!((effects.len() as i64, distinct), (others, others), "{harm:?}");
            // AND what it left with a session went with that
            let left: i64 = bench
                .value("select count(*) from pg_stat_activity where application_name = 'left behind'")
                .await?;
            assert_eq!(left, 0, "{harm:?}");
        }
    }
    Ok(())
}
