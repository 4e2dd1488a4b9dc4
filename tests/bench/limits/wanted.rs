//! Which lines of which reports the page starts from, and what stands in for each while it is not there: figures of the project's
//! beginning, on two shared cores.

/// A line of a report that is wanted.
pub(super) struct Wanted {
    pub(super) file: &'static str,
    /// As the report names it.
    pub(super) line: &'static str,
    /// Of what stands beside ours.
    pub(super) is_limit: bool,
    pub(super) what: &'static str,
    pub(super) unit: &'static str,
    pub(super) stand_in: f64,
}

const fn ours(
    file: &'static str,
    line: &'static str,
    what: &'static str,
    unit: &'static str,
    stand_in: f64,
) -> Wanted {
    Wanted {
        file,
        line,
        is_limit: false,
        what,
        unit,
        stand_in,
    }
}

const fn beside(mut wanted: Wanted) -> Wanted {
    wanted.is_limit = true;
    wanted
}

const MILLIONTH: &str = "s of CPU per million events";

/// In the order of [`super::known::Known`].
pub(super) const WANTED: [Wanted; 19] = [
    ours(
        "drain",
        "1 partition, Redis without AOF: CPU of the relay",
        "relay, behind",
        MILLIONTH,
        6.0,
    ),
    ours(
        "drain",
        "1 partition, Redis without AOF: CPU of Postgres",
        "Postgres for the relay, behind",
        MILLIONTH,
        5.0,
    ),
    ours(
        "drain",
        "1 partition, Redis without AOF: CPU of Redis",
        "Redis, behind",
        MILLIONTH,
        4.0,
    ),
    beside(ours(
        "drain",
        "1 partition, Redis without AOF: CPU of Redis",
        "Redis, the same entries by `redis-cli --pipe`",
        MILLIONTH,
        3.5,
    )),
    ours(
        "drain",
        "1 partition, Redis without AOF: events, from the start of the process",
        "a backlog of one partition, all on the cores of one machine",
        "events/s",
        120_000.0,
    ),
    ours(
        "drain",
        "8 partitions, Redis without AOF: events, from the start of the process",
        "a backlog of eight partitions, the same",
        "events/s",
        120_000.0,
    ),
    ours(
        "commit",
        "the library's append, no relay",
        "commits that append, 32 clients",
        "commits/s",
        22_000.0,
    ),
    ours(
        "commit",
        "raw inserts with NOTIFY, which are nothing of ours",
        "commits with a NOTIFY each",
        "commits/s",
        5_800.0,
    ),
    ours(
        "commit",
        "WAL of a commit that appends",
        "WAL of a commit that appends",
        "bytes",
        1_200.0,
    ),
    ours(
        "latency",
        "200 per s: p50",
        "from a commit to a reader, 200/s, p50",
        "ms",
        1.5,
    ),
    beside(ours(
        "latency",
        "200 per s: p50",
        "a durable commit and two round trips",
        "ms",
        1.0,
    )),
    ours(
        "consume",
        "one member, a handler per event",
        "one member of one stream, a handler per event",
        "events/s",
        15_000.0,
    ),
    ours(
        "consume",
        "one member, `on_batch`",
        "one member of one stream, `on_batch`",
        "events/s",
        25_000.0,
    ),
    ours(
        "through",
        "ten to a transaction, `on_batch`: CPU of relay for a million events",
        "relay, at 5,000/s",
        MILLIONTH,
        20.0,
    ),
    ours(
        "through",
        "ten to a transaction, `on_batch`: CPU of Postgres for a million events",
        "Postgres, all of it, at 5,000/s",
        MILLIONTH,
        90.0,
    ),
    ours(
        "through",
        "ten to a transaction, `on_batch`: CPU of Redis for a million events",
        "Redis, at 5,000/s",
        MILLIONTH,
        20.0,
    ),
    ours(
        "through",
        "ten to a transaction, `on_batch`: CPU of consumer for a million events",
        "consumer, at 5,000/s",
        MILLIONTH,
        40.0,
    ),
    ours(
        "takeover",
        "SIGKILL: the first event, the worst",
        "a relay's takeover after SIGKILL, the worst",
        "s",
        4.0,
    ),
    ours(
        "store",
        "transactions that append 1 to many streams, 16 at a time; filled with 0 events",
        "transactions that append one event to the event store, 16 clients",
        "commits/s",
        3_000.0,
    ),
];

#[cfg(test)]
mod tests {
    use super::WANTED;
    use crate::report::Line;
    use crate::{speed, store};

    /// What the measure of a file writes into it.
    fn written(file: &str) -> Vec<Line> {
        match file {
            "drain" => speed::drain::lines_of_nothing(),
            "commit" => speed::commit::lines_of_nothing(),
            "latency" => speed::latency::lines_of_nothing(),
            "consume" => speed::consume::lines_of_nothing(),
            "through" => speed::through::lines_of_nothing(),
            "takeover" => speed::takeover::lines_of_nothing(),
            "store" => store::lines_of_nothing(),
            _ => Vec::new(),
        }
    }

    #[test]
    fn each_line_that_is_wanted_is_one_that_its_measure_writes() {
        for wanted in WANTED {
            let lines = written(wanted.file);
            let named: Vec<&Line> = lines.iter().filter(|line| line.what == wanted.line).collect();
            // The first of a name is the one that is read.
            assert!(!named.is_empty(), "{} has no {:?}", wanted.file, wanted.line);
            assert!(
                !wanted.is_limit || named[0].limit.is_some(),
                "{} has nothing beside {:?}",
                wanted.file,
                wanted.line
            );
        }
    }
}
