//! Statements about who applies what.

use super::super::share::Seen;
use super::super::{Error, Subscription};
use super::{DRAWN, Store, bounded};
use crate::event_store;
use crate::event_store::pg::get;

const PASS_TRANSACTION: &str = include_str!("../../../../queries/subscription/pass_transaction.sql");

const LOOKING: &str = "looking at a subscription";
/// SQLSTATE of a row whose subscription was removed.
const NO_PARENT: &str = "23503";

impl Store {
    /// Makes the subscription, or finds it as it is described.
    pub(in super::super) async fn register(&self) -> Result<(), Error> {
        let wanted: &Subscription = &self.subscription;
        let drawn = if wanted.is_from_now {
            Some(self.drawn_before().await?)
        } else {
            None
        };
        let query = sqlx::query(include_str!("../../../../queries/subscription/register.sql"))
            .bind(self.name())
            .bind(self.generation())
            .bind(i32::from(wanted.partitions))
            .bind(&wanted.categories)
            .bind(&wanted.types)
            .bind(drawn);
        bounded("registering a subscription", query.execute(&self.pool)).await?;
        let query = sqlx::query(include_str!("../../../../queries/subscription/definition.sql"))
            .bind(self.name())
            .bind(self.generation());
        let gone = || Error::Gone {
            name: self.name().to_owned(),
        };
        let row = bounded(LOOKING, query.fetch_optional(&self.pool))
            .await
            .map_err(|error| match error {
                // Its generation ended between what the statement saw and the row that it left.
                Error::Store(event_store::Error::Database { code, .. }) if code == NO_PARENT => gone(),
                error => error,
            })?;
        let Some(row) = row else {
            return Err(gone());
        };
        let is_same_server: bool = get(&row, "is_same_server", LOOKING)?;
        if !is_same_server {
            let era: i32 = get(&row, "era", LOOKING)?;
            return Err(Error::WentBack {
                said: format!("its system identifier is not that of era {era}"),
            });
        }
        let partitions: i32 = get(&row, "partitions", LOOKING)?;
        let categories: Option<Vec<String>> = get(&row, "categories", LOOKING)?;
        let types: Option<Vec<String>> = get(&row, "types", LOOKING)?;
        let mut differences = Vec::new();
        if partitions != i32::from(wanted.partitions) {
            differences.push(format!("{partitions} partitions, not {}", wanted.partitions));
        }
        if categories != wanted.categories {
            differences.push(format!("categories {}", told(categories.as_deref())));
        }
        if types != wanted.types {
            differences.push(format!("types {}", told(types.as_deref())));
        }
        if differences.is_empty() {
            return Ok(());
        }
        Err(Error::Changed {
            name: self.name().to_owned(),
            what: differences.join(" and "),
        })
    }

    /// The last position drawn before a transaction that has ended.
    async fn drawn_before(&self) -> Result<i64, Error> {
        let query = sqlx::query_scalar(DRAWN);
        let drawn = bounded(LOOKING, query.fetch_one(&self.pool)).await?;
        let query = sqlx::query(PASS_TRANSACTION);
        bounded(LOOKING, query.execute(&self.pool)).await?;
        Ok(drawn)
    }

    /// Says that this process lives and its leases go on, and sees who has what.
    pub(in super::super) async fn look(&self, member: &str, mine: &[(i32, i64)]) -> Result<Seen, Error> {
        let (partitions, epochs): (Vec<i32>, Vec<i64>) = mine.iter().copied().unzip();
        let query = sqlx::query(include_str!("../../../../queries/subscription/look.sql"))
            .bind(self.name())
            .bind(self.generation())
            .bind(member)
            .bind(partitions)
            .bind(epochs)
            .bind(self.lease_ms());
        let gone = || Error::Gone {
            name: self.name().to_owned(),
        };
        let row = bounded(LOOKING, query.fetch_optional(&self.pool))
            .await
            .map_err(|error| match error {
                // Its generation ended between what the statement saw and the row that it left.
                Error::Store(event_store::Error::Database { code, .. }) if code == NO_PARENT => gone(),
                error => error,
            })?;
        let Some(row) = row else {
            return Err(gone());
        };
        let partitions: Vec<i32> = get(&row, "partitions", LOOKING)?;
        let epochs: Vec<i64> = get(&row, "epochs", LOOKING)?;
        let held: Vec<bool> = get(&row, "held", LOOKING)?;
        let others: i64 = get(&row, "others", LOOKING)?;
        let leases = partitions.into_iter().zip(epochs).zip(held);
        Ok(Seen {
            is_paused: get(&row, "is_paused", LOOKING)?,
            leases: leases
                .map(|((partition, epoch), held)| (partition, epoch, held))
                .collect(),
            others: usize::try_from(others).unwrap_or(0),
        })
    }

    /// Takes free partitions, with their epochs.
    pub(in super::super) async fn take(
        &self,
        member: &str,
        at_most: usize,
    ) -> Result<Vec<(i32, i64)>, Error> {
        let query = sqlx::query_as(include_str!("../../../../queries/subscription/take_leases.sql"))
            .bind(self.name())
            .bind(self.generation())
            .bind(member)
            .bind(self.lease_ms())
            .bind(i64::try_from(at_most).unwrap_or(i64::MAX));
        bounded("taking partitions", query.fetch_all(&self.pool)).await
    }

    pub(in super::super) async fn release(&self, partition: i32, epoch: i64) -> Result<(), Error> {
        let query = sqlx::query(include_str!("../../../../queries/subscription/release_lease.sql"))
            .bind(self.name())
            .bind(self.generation())
            .bind(partition)
            .bind(epoch);
        bounded("giving a partition back", query.execute(&self.pool))
            .await
            .map(drop)
    }

    pub(in super::super) async fn leave(&self, member: &str) -> Result<(), Error> {
        let query = sqlx::query(include_str!("../../../../queries/subscription/leave.sql"))
            .bind(self.name())
            .bind(self.generation())
            .bind(member);
        bounded("leaving a subscription", query.execute(&self.pool))
            .await
            .map(drop)
    }

    fn lease_ms(&self) -> f64 {
        self.subscription.lease.as_secs_f64() * 1000.0
    }
}

fn told(words: Option<&[String]>) -> String {
    words.map_or_else(|| "of every kind".to_owned(), |words| words.join(", "))
}
