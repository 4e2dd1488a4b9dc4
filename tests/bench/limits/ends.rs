//! Pure: where one of each part ends, in events a second.

use super::assumed::Assumed;
use super::known::Known;

/// Where one of something ends.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct End {
    pub(super) of: &'static str,
    /// How it is computed.
    pub(super) how: String,
    /// Events a second.
    pub(super) at: f64,
    /// More of it can stand side by side, and how.
    pub(super) more: &'static str,
    /// Every event goes this way, by default.
    pub(super) is_on_the_way: bool,
}

/// Seconds that one takes for an event.
#[derive(Clone, Copy, Debug)]
pub(super) struct Each {
    /// On one core of a database's server: an append and its commit.
    pub(super) append: f64,
    /// In the session of the relay.
    pub(super) read: f64,
    pub(super) relay: f64,
    pub(super) redis: f64,
}

impl Each {
    pub(super) fn of(known: &Known) -> Self {
        Self {
            append: known.cores / known.commits.value,
            read: known.postgres.value / 1e6,
            relay: known.relay.value / 1e6,
            redis: known.redis.value / 1e6,
        }
    }

    /// Of one relay: its process and its session are one after the other in themselves, and beside each other.
    pub(super) fn of_relay(&self) -> f64 {
        self.relay.max(self.read)
    }

    /// Of a server of so many cores, with the relay's session.
    pub(super) fn of_database(&self, cores: f64) -> f64 {
        (self.append + self.read) / cores
    }
}

/// Entries of a parcel, whichever bound comes first.
pub(super) fn parcel(assumed: &Assumed) -> f64 {
    assumed
        .parcel
        .value
        .min((assumed.parcel_bytes.value / assumed.event_bytes.value).floor())
}

/// Events a second of one stream: one parcel is under way at a time.
pub(super) fn of_one_stream(each: Each, assumed: &Assumed) -> f64 {
    let parcel = parcel(assumed);
    parcel / (assumed.round_trip.value / 1e3 + parcel * each.redis)
}

fn end(of: &'static str, at: f64, more: &'static str, how: String) -> End {
    End {
        of,
        how,
        at,
        more,
        is_on_the_way: true,
    }
}

fn aside(of: &'static str, at: f64, more: &'static str, how: &str) -> End {
    End {
        is_on_the_way: false,
        ..end(of, at, more, how.to_owned())
    }
}

/// In the order of the path.
pub(super) fn ends(known: &Known, assumed: &Assumed) -> Vec<End> {
    let each = Each::of(known);
    [
        of_postgres(known, assumed, each),
        behind_postgres(known, assumed, each),
    ]
    .concat()
}

fn of_postgres(known: &Known, assumed: &Assumed, each: Each) -> Vec<End> {
    let cores = assumed.cores.value;
    vec![
        end(
            "one Postgres, its cores",
            1.0 / each.of_database(cores),
            "more databases",
            format!(
                "{cores} cores / ({:.1} µs to append and commit one event + {:.1} µs for the relay)",
                each.append * 1e6,
                each.read * 1e6
            ),
        ),
        end(
            "one Postgres, its disk",
            assumed.disk.value * 1e6 / known.wal.value,
            "more databases; several events to a transaction",
            format!(
                "{} MB/s of WAL / {:.0} bytes a commit",
                assumed.disk.value, known.wal.value
            ),
        ),
        aside(
            "a NOTIFY in each transaction, which ours has only while the relay sleeps",
            known.notified.value,
            "none: the lock is the server's; more servers",
            "as measured: one after the other at commit, whatever the cores",
        ),
        aside(
            "the event store of one Postgres",
            known.store.value,
            "more databases",
            "as measured, 16 clients, on all cores of the machine",
        ),
    ]
}

fn behind_postgres(known: &Known, assumed: &Assumed, each: Each) -> Vec<End> {
    vec![
        end(
            "one relay: one leader, which cuts and reads one after the other",
            1.0 / each.of_relay(),
            "a relay for each database",
            format!(
                "1 / the greater of {:.1} µs of the relay and {:.1} µs of its session at Postgres",
                each.relay * 1e6,
                each.read * 1e6
            ),
        ),
        end(
            "one stream: one parcel under way",
            of_one_stream(each, assumed),
            "topics; partitions of a topic",
            format!(
                "{:.0} entries / ({} ms there and back + {:.0} × {:.1} µs at Redis)",
                parcel(assumed),
                assumed.round_trip.value,
                parcel(assumed),
                each.redis * 1e6
            ),
        ),
        end(
            "one Redis: one thread",
            1.0 / each.redis,
            "more Redis, a relay to each",
            format!(
                "1 / {:.1} µs an entry; `redis-cli --pipe` of the same entries takes {:.1} µs",
                each.redis * 1e6,
                known.redis_raw.value
            ),
        ),
        end(
            "a consumer of one partition, a handler per event",
            known.applied.value,
            "partitions, up to 1,024 of a topic, and members",
            "as measured, with its Postgres on the same cores".to_owned(),
        ),
        aside(
            "a consumer of one partition, `on_batch`",
            known.applied_together.value,
            "partitions, up to 1,024 of a topic, and members",
            "as measured, with its Postgres on the same cores",
        ),
    ]
}

/// How many of each a rate needs, and which of them is the first that one is too few of.
pub(super) fn needed(ends: &[End], rate: f64) -> (Vec<f64>, Option<&End>) {
    let parts = ends.iter().map(|end| (rate / end.at).ceil());
    let on_the_way = ends.iter().filter(|end| end.is_on_the_way);
    let fullest = on_the_way.min_by(|one, other| one.at.total_cmp(&other.at));
    (parts.collect(), fullest.filter(|end| end.at < rate))
}

#[cfg(test)]
mod tests {
    use super::{Assumed, Each, ends, needed, of_one_stream};
    use crate::limits::known::Known;

    #[test]
    fn a_stream_ends_at_its_parcel_by_its_round_trip_and_the_least_ends_first()
    -> Result<(), system_tests::Failure> {
        let mut assumed = Assumed::new();
        let each = Each {
            append: 1e-5,
            read: 1e-6,
            relay: 2e-6,
            redis: 1e-6,
        };
        assert!((of_one_stream(each, &assumed) - 500.0 / 0.001).abs() < 1e-6);
        // 2 MiB of events of 128 KiB are 16.
        assumed.event_bytes.value = 131_072.0;
        assert!((of_one_stream(each, &assumed) - 16.0 / 0.000_516).abs() < 1e-6);
        let folder = tempfile::TempDir::new()?;
        let known = Known::read(folder.path())?;
        let ends = ends(&known, &assumed);
        let on_the_way = ends.iter().filter(|end| end.is_on_the_way);
        let least = on_the_way.map(|end| end.at).fold(f64::INFINITY, f64::min);
        let (counts, first) = needed(&ends, least * 3.5);
        assert!(first.is_some_and(|end| (end.at - least).abs() < 1e-9));
        assert!(counts.contains(&4.0) && needed(&ends, least * 0.9).1.is_none());
        Ok(())
    }
}
