//! Pure: what a batch of a few rows comes to.
//!
//! The same is counted by the database where there are more rows (`queries/tail/cut_few.sql`, `cut_batch.sql`); that the ledger says what the
//! snapshots say, whoever counted, is tested on a real log.

use super::batch::Share;
use super::stream::StreamId;

/// A row, as far as it counts.
#[derive(Clone, Debug)]
pub(crate) struct Glimpse<'a> {
    pub(crate) position: i64,
    /// None: a stored event that is in no stream.
    pub(crate) topic: Option<&'a str>,
    /// Its transaction began after the batch before.
    pub(crate) is_new: bool,
}

/// A batch before it is cut.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Events that go to streams.
    pub(crate) event_count: i64,
    /// Lowest position of all rows.
    pub(crate) first_position: i64,
    /// Highest position of all rows.
    pub(crate) last_position: i64,
    /// In order of their topics.
    pub(crate) shares: Vec<Share>,
}

impl Tally {
    /// Counts rows, in whatever order, of topics without partitions. None if there are none.
    pub(crate) fn of<'a>(rows: impl IntoIterator<Item = Glimpse<'a>>) -> Option<Self> {
        let mut rows = rows.into_iter();
        let mut tally = Self::begin(&rows.next()?);
        for row in rows {
            tally.add(&row);
        }
        tally
            .shares
            .sort_by(|one, other| one.stream.topic.cmp(&other.stream.topic));
        Some(tally)
    }

    fn begin(row: &Glimpse<'_>) -> Self {
        let mut tally = Self {
            event_count: 0,
            first_position: row.position,
            last_position: row.position,
            shares: Vec::new(),
        };
        tally.add(row);
        tally
    }

    fn add(&mut self, row: &Glimpse<'_>) {
        self.first_position = self.first_position.min(row.position);
        self.last_position = self.last_position.max(row.position);
        let Some(topic) = row.topic else {
            return;
        };
        self.event_count += 1;
        let new = row.is_new.then_some(row.position);
        match self.shares.iter_mut().find(|share| share.stream.topic == topic) {
            Some(share) => {
                share.event_count += 1;
                share.first_position = share.first_position.min(row.position);
                share.last_position = share.last_position.max(row.position);
                share.first_new_position = share.first_new_position.into_iter().chain(new).min();
            }
            None => self.shares.push(Share {
                stream: StreamId::whole(topic),
                partitions: 1,
                event_count: 1,
                first_position: row.position,
                last_position: row.position,
                first_new_position: new,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(position: i64, topic: Option<&'static str>, is_new: bool) -> Glimpse<'static> {
        Glimpse {
            position,
            topic,
            is_new,
        }
    }

    fn share(topic: &str, count: i64, first: i64, last: i64, first_new: Option<i64>) -> Share {
        Share {
            stream: StreamId::whole(topic),
            partitions: 1,
            event_count: count,
            first_position: first,
            last_position: last,
            first_new_position: first_new,
        }
    }

    #[test]
    fn counts_by_topic_in_whatever_order_and_what_is_in_no_stream_only_as_a_place() {
        let rows = [
            row(9, Some("b"), true),
            row(12, None, true),
            row(4, Some("a"), false),
            row(7, Some("b"), false),
            row(3, None, false),
            row(8, Some("b"), true),
        ];
        let tally = Tally::of(rows).expect("there are rows");
        assert_eq!(
            (tally.event_count, tally.first_position, tally.last_position),
            (4, 3, 12)
        );
        assert_eq!(
            tally.shares,
            [share("a", 1, 4, 4, None), share("b", 3, 7, 9, Some(8))]
        );
    }

    #[test]
    fn of_nothing_there_is_no_batch_and_of_what_is_in_no_stream_one_without_shares() {
        assert_eq!(Tally::of([]), None);
        let stored = Tally::of([row(5, None, true)]).expect("there is a row");
        assert_eq!((stored.event_count, stored.shares.len()), (0, 0));
        assert_eq!((stored.first_position, stored.last_position), (5, 5));
    }
}
