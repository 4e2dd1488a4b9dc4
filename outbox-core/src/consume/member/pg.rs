//! The statements of a member, on a connection that it keeps for itself.

use std::time::Duration;

use super::{Card, Look};
use crate::consume::Error;
use crate::consume::lease::Lease;
use crate::consume::pg::{Lent, PgConnection, Store, bounded};

/// The shortest time in which an answer must come; otherwise it is that of the lease.
const LIMIT_MIN: Duration = Duration::from_secs(1);

/// Seconds. A pool that is shared with others may hand out a connection on which a transaction was left open: what is done
/// there is never committed.
const TRANSACTION_AGE_MAX: f64 = 1.0;

/// The connection of a member.
#[derive(Default)]
pub(super) struct Desk {
    connection: Option<Lent>,
}

/// What a look says, besides what it asks.
pub(super) struct Beat<'a> {
    pub(super) card: &'a Card,
    pub(super) leases: &'a [(&'a str, Lease)],
    /// Whether the leases are renewed by it.
    pub(super) renews: bool,
    /// Whether the member says that it lives.
    pub(super) lives: bool,
}

impl Desk {
    pub(super) async fn look(&mut self, store: &Store, beat: &Beat<'_>) -> Result<Look, Error> {
        self.ask(store, async |store, connection| {
            look(store, connection, beat).await
        })
        .await
    }

    /// Makes the rows of streams that came.
    pub(super) async fn add_leases(&mut self, store: &Store, streams: &[String]) -> Result<(), Error> {
        self.ask(store, async |store, connection| {
            let query = sqlx::query(include_str!("../../../queries/consume/add_leases.sql"))
                .bind(store.consumer())
                .bind(streams);
            let done = bounded("adding the leases of streams", query.execute(connection)).await;
            done.map(drop)
        })
        .await
    }

    /// Takes those of these streams that nobody holds.
    pub(super) async fn take(
        &mut self,
        store: &Store,
        member: &str,
        streams: &[String],
    ) -> Result<Vec<(String, Lease)>, Error> {
        self.ask(store, async |store, connection| {
            let query = sqlx::query_as(include_str!("../../../queries/consume/take_leases.sql"))
                .bind(store.consumer())
                .bind(streams)
                .bind(member)
                .bind(store.lease_ms());
            let taken: Vec<(String, i64)> = bounded("taking leases", query.fetch_all(connection)).await?;
            let lease = |(stream, epoch)| (stream, Lease { epoch });
            Ok(taken.into_iter().map(lease).collect())
        })
        .await
    }

    /// Puts back what a redrive may put back by now. Returns how many letters that were.
    pub(super) async fn release_redrive(&mut self, store: &Store, operation: i64) -> Result<i32, Error> {
        self.ask(store, async |_, connection| {
            let query = sqlx::query_scalar(include_str!("../../../queries/consume/release_redrive.sql"))
                .bind(operation);
            let letters = bounded("putting dead letters back", query.fetch_one(connection)).await?;
            crash_point!(REDRIVE_RELEASED);
            Ok(letters)
        })
        .await
    }

    /// Says that the member takes no more.
    pub(super) async fn leave(&mut self, store: &Store, member: &str) -> Result<(), Error> {
        self.ask(store, async |store, connection| {
            let query = sqlx::query(include_str!("../../../queries/consume/leave.sql"))
                .bind(store.consumer())
                .bind(member);
            bounded("leaving the group", query.execute(connection))
                .await
                .map(drop)
        })
        .await
    }

    /// Runs a statement within the time of a lease. After trouble the connection is not used again.
    async fn ask<T>(
        &mut self,
        store: &Store,
        statement: impl AsyncFnOnce(&Store, &mut PgConnection) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let limit = store.lease_time().max(LIMIT_MIN);
        let slow = |_| Error::Slow {
            doing: "looking at the group",
            limit,
        };
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                let taken = store.acquire("taking a connection for the member");
                tokio::time::timeout(limit, taken).await.map_err(slow)??
            }
        };
        let outcome = tokio::time::timeout(limit, statement(store, &mut connection)).await;
        match outcome.map_err(slow).flatten() {
            Ok(answer) => {
                self.connection = Some(connection);
                Ok(answer)
            }
            Err(error) => {
                connection.close();
                Err(error)
            }
        }
    }
}

async fn look(store: &Store, connection: &mut PgConnection, beat: &Beat<'_>) -> Result<Look, Error> {
    let (streams, epochs): (Vec<&str>, Vec<i64>) = beat
        .leases
        .iter()
        .map(|(stream, lease)| (*stream, lease.epoch))
        .unzip();
    let card = beat.card;
    let partitions = card.partitions.as_ref();
    let partitions: Option<Vec<i32>> =
        partitions.map(|named| named.iter().map(|number| number.cast_signed()).collect());
    let query = sqlx::query_scalar(include_str!("../../../queries/consume/look.sql"))
        .bind(store.consumer())
        .bind(&card.name)
        .bind(streams)
        .bind(epochs)
        .bind(&card.host)
        .bind(card.process_id)
        .bind(env!("CARGO_PKG_VERSION"))
        .bind(&card.topics)
        .bind(partitions)
        .bind(store.lease_ms())
        .bind(beat.lives)
        .bind(beat.renews);
    let doing = "looking at the group";
    let text: String = bounded(doing, query.fetch_one(connection)).await?;
    let failed = |source| Error::Postgres {
        doing,
        code: None,
        source,
    };
    let look: Look = serde_json::from_str(&text).map_err(|error| failed(Box::new(error)))?;
    if look.transaction_age > TRANSACTION_AGE_MAX {
        return Err(failed(
            "somebody else's transaction is open on this connection of the pool".into(),
        ));
    }
    Ok(look)
}

impl Store {
    /// Forgets the members that were not seen for a day.
    pub(in crate::consume) async fn forget_members(&self) -> Result<(), Error> {
        let query =
            sqlx::query(include_str!("../../../queries/consume/forget_members.sql")).bind(self.consumer());
        bounded("forgetting old members", query.execute(&self.pool))
            .await
            .map(drop)
    }
}
