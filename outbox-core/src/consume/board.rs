//! Where a consumer stands: the sum of where its streams stand.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

use crate::standing::Standing;

/// Where each stream stands, and the sum for whoever watches.
pub(super) struct Board {
    streams: Mutex<BTreeMap<String, Standing>>,
    sum: watch::Sender<Standing>,
}

impl Board {
    pub(super) fn new(sum: watch::Sender<Standing>) -> Self {
        Self {
            streams: Mutex::default(),
            sum,
        }
    }

    /// Notes where a stream stands.
    pub(super) fn set(&self, stream: &str, standing: Standing) {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        streams.insert(stream.to_owned(), standing);
        self.tell(&streams);
    }

    /// Forgets a line.
    pub(super) fn clear(&self, line: &str) {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        if streams.remove(line).is_some() {
            self.tell(&streams);
        }
    }

    fn tell(&self, streams: &BTreeMap<String, Standing>) {
        let sum = sum_of(streams);
        self.sum.send_if_modified(|known| {
            let is_news = *known != sum;
            *known = sum;
            is_news
        });
    }
}

/// One stream that waits is one too many; otherwise one that is applied here makes a member that leads.
fn sum_of(streams: &BTreeMap<String, Standing>) -> Standing {
    let causes: Vec<String> = streams
        .iter()
        .filter_map(|(stream, standing)| Some(format!("{stream}: {}", standing.cause()?)))
        .collect();
    if !causes.is_empty() {
        let cause = causes.join("; ");
        return Standing::Waiting { cause };
    }
    for standing in [Standing::Starting, Standing::Leading, Standing::Standby] {
        if streams.values().any(|found| *found == standing) {
            return standing;
        }
    }
    Standing::Starting
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(standings: &[Standing]) -> Standing {
        sum_of(
            &(0..)
                .map(|n: u32| n.to_string())
                .zip(standings.iter().cloned())
                .collect(),
        )
    }

    #[test]
    fn a_member_stands_as_its_streams_do() {
        let waiting = Standing::Waiting {
            cause: "Redis is gone".to_owned(),
        };
        assert_eq!(sum(&[]), Standing::Starting);
        assert_eq!(sum(&[Standing::Standby, Standing::Standby]), Standing::Standby);
        assert_eq!(sum(&[Standing::Standby, Standing::Leading]), Standing::Leading);
        assert_eq!(sum(&[Standing::Starting, Standing::Leading]), Standing::Starting);
        let sum = sum(&[Standing::Leading, waiting]);
        assert_eq!(sum.cause(), Some("1: Redis is gone"));
        assert!(!sum.is_ready());
    }
}
