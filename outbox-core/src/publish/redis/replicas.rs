//! Pure: replicas that must have a parcel before it counts as delivered; what is asked for that, and what the answer means.
//!
//! `WAIT` asks for what its own connection wrote last. A parcel that is sent again may write nothing, its ids are all there, and
//! a connection that wrote nothing is told how many replicas there are, whatever they have. So every parcel that is to be waited
//! for writes one small key beside its entries, in the same transaction.
//!
//! What too few replicas have in time is not taken for delivered: it is sent again on the next connection, under the same ids,
//! which adds nothing. Deliberately absent: going on without the replicas after a while. Then nobody could rely on them.

use std::time::Duration;

use redis::{Pipeline, Value};

use super::reply::{self, Refusal};
use super::unfit;
use crate::publish::{Error, Kind};

/// How many, and for how long they are waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replicas {
    /// So many must have a parcel; at least one.
    pub count: u32,
    /// What comes later than this comes too late. Less than the limit of an answer.
    pub within: Duration,
    /// The key that is written to have something to wait for; of no meaning.
    pub key: String,
}

impl Replicas {
    /// Part of the transaction: something to wait for.
    pub(super) fn write(&self, pipeline: &mut Pipeline) {
        pipeline.cmd("SET").arg(&self.key).arg("1");
    }

    /// Behind the transaction: until enough have all of it.
    pub(super) fn wait(&self, pipeline: &mut Pipeline) {
        pipeline
            .cmd("WAIT")
            .arg(self.count)
            .arg(u64::try_from(self.within.as_millis()).unwrap_or(u64::MAX).max(1));
    }

    /// Whether enough have it, by the answer to `WAIT`.
    pub(super) fn have_it(&self, said: Option<&Value>) -> Result<(), Error> {
        let (count, within) = (self.count, self.within);
        match said {
            Some(Value::Int(have)) if *have >= i64::from(count) => Ok(()),
            Some(Value::Int(have)) => Err(Error::new(
                Kind::SinkDown,
                format!(
                    "REPLICAS-MISSING: {have} of the {count} replicas of Redis that publish.min_replicas asks for had what was sent \
                     within {within:?}: it is not taken for delivered and is sent again; bring the replicas back, or lower that setting"
                ),
            )),
            Some(Value::ServerError(error)) => match reply::read(error) {
                Refusal::Server(why) => Err(Error::new(Kind::SinkDown, why)),
                _ => Err(unfit(format!(
                    "Redis refuses WAIT ({}), which publish.min_replicas needs: grant it to the relay's user",
                    error.code()
                ))),
            },
            _ => Err(Error::new(
                Kind::SinkDown,
                "Redis gave an unknown answer about its replicas",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_too_few_have_does_not_count() {
        let two = Replicas {
            count: 2,
            within: Duration::from_secs(1),
            key: "k".to_owned(),
        };
        assert!(two.have_it(Some(&Value::Int(2))).is_ok());
        assert!(two.have_it(Some(&Value::Int(3))).is_ok());
        for said in [
            Some(&Value::Int(1)),
            Some(&Value::Int(0)),
            Some(&Value::Okay),
            None,
        ] {
            assert_eq!(
                two.have_it(said).map_err(|error| error.kind()),
                Err(Kind::SinkDown),
                "{said:?}"
            );
        }
    }
}
