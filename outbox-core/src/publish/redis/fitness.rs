//! Whether a server may be published to: it keeps what it takes, and takes a parcel whole or not at all.

use redis::{Pipeline, Value};

use super::connection::Connection;
use super::reply::{self, Refusal};
use super::unfit;
use super::value::text;
use crate::publish::{Error, Kind};

impl Connection {
    /// A server that evicts keys would lose streams silently; one that refuses `MULTI` would run what follows it one by one.
    pub(super) async fn check_fitness(&self) -> Result<(), Error> {
        let mut transaction = Pipeline::new();
        transaction.cmd("MULTI");
        transaction.cmd("EXEC");
        for reply in self.send(&transaction).await? {
            if let Value::ServerError(error) = reply {
                return Err(unfit(format!(
                    "Redis refuses MULTI or EXEC ({}): parcels could be taken in part; grant them to the relay's user",
                    error.code()
                )));
            }
        }
        self.check_replicas().await?;
        let mut ask = Pipeline::new();
        ask.cmd("CONFIG").arg("GET").arg("maxmemory-policy");
        // Managed servers refuse CONFIG; then `outbox-relay check` says that it could not look.
        if let Some(Value::Array(pair)) = self.send(&ask).await?.into_iter().next()
            && let Some(policy) = pair.get(1).and_then(text)
            && policy != "noeviction"
        {
            let limit = self.memory_limit().await?;
            if limit != "0" {
                return Err(unfit(format!(
                    "Redis evicts keys when its memory is full (maxmemory-policy {policy}): streams would vanish; set noeviction"
                )));
            }
        }
        Ok(())
    }

    /// Where replicas must have every parcel, nothing is sent while they do not answer: that is found out here, and not by a
    /// parcel, so that the relay is not taken for ready in between.
    async fn check_replicas(&self) -> Result<(), Error> {
        let Some(replicas) = &self.replicas else {
            return Ok(());
        };
        let mut ask = Pipeline::new();
        replicas.write(&mut ask);
        replicas.wait(&mut ask);
        let replies = self.send(&ask).await?;
        match replies.first() {
            Some(Value::ServerError(error)) => Err(match reply::read(error) {
                Refusal::Server(why) => Error::new(Kind::SinkDown, why),
                Refusal::Unfit(why) | Refusal::Stream(why) => unfit(why),
                Refusal::IdTaken => Error::new(Kind::SinkDown, "Redis refused a key as an id"),
            }),
            _ => self.replicated(replicas, replies.last()),
        }
    }

    async fn memory_limit(&self) -> Result<String, Error> {
        let mut ask = Pipeline::new();
        ask.cmd("CONFIG").arg("GET").arg("maxmemory");
        let answer = self.send(&ask).await?.into_iter().next();
        Ok(match answer {
            Some(Value::Array(pair)) => pair.get(1).and_then(text).unwrap_or_default(),
            _ => String::new(),
        })
    }
}
