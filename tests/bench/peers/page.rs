//! What was found, as a page: peers beside each other, ratios, and for each row whether ours is the best.

use std::fmt::Write as _;

use serde_json::json;
use system_tests::{Failure, Result};

use super::peer::Kind;
use super::row::Row;
use super::{Found, Size};
use crate::options::Options;
use crate::report::{Better, Facts, Line, Report, Series, TURNS, number};

const HEAD: &str = "One Postgres (`fsync = on`, `synchronous_commit = on`, `wal_level = logical`) and one Redis for all; each peer in a database of its own,
set up as its own documentation says and tuned by it (`bench/peers`, a folder with a README each). Events have 200 bytes of data and 1,000 keys.

* **Backlog**: the peer has run once and is gone, the events are committed, then it is started. The rate is from the start of its process
  to the entry with which no event is missing any more. *Without such a start*: what it took before, from the start of its process to
  the only event that waited for it, is left out. How large the backlog of each is, is told below: who is slow has one for half a minute or so, by
  what it did in the round that warms up; whom ours is judged by has as many as ours. Ours is judged by the whole and by that without such a start, since
  starting Java says little of what comes behind it. Raw XADD is `redis-cli --pipe` with the very entries that this peer wrote, into the emptied Redis.
* **Delay**: from COMMIT returned to the entry in the hands of a reader that blocks in XREAD, both on blocking sockets; the first ten seconds
  (`--quick`: one) are thrown away. Events come by a schedule with random gaps that waits for nobody, over 32 connections, at the same moments for all of a round. An
  entry that is read before the answer to its commit has a delay below zero, which counts as it is; how many is told, and the rate reached; what was to come must have come.
* **Producers**: commits of 32 clients, one event each, with the peer running, as a part of the commits of bare inserts of the same row
  without any peer, one after the other in the same round; how many events the peer published a second in that time, as a
  part of what was committed then, and what was left at its end: who publishes little leaves the processors to producers. Ids of all rise with time.
* **Memory**: the most that the peer's process had resident in the backlog. Java has no `-Xmx` here, as `run.sh` of Debezium Server gives it none: its heap may
  grow to a quarter of the machine's memory, and does not shrink because nothing asks for it. So this is what it took, not what it needs.
* **Killed**: SIGKILL in the middle of a backlog, ten times (`--quick`: three), at random moments, started again at once, while four producers commit events of which the
  order of a key is that of its commits. A kill counts when a tenth of the backlog or more was left at it; where too little was left, more is
  filled in before the next start. When nothing has come for ten seconds, and for a minute where something is missing, everything on the stream is compared with what was
  committed: missing events are lost, entries of events that were there are doubled, events that first come behind a later one of their key are turned around.

A peer that ends by itself is started again. Who is better is said where all runs of the one are beyond all runs of the other; where the
ranges meet, they are not told apart.
";

/// Prints it, and writes page, JSON and picture where they go.
pub(super) fn write(found: &[Found], facts: Facts, options: &Options, size: Size) -> Result {
    let (ours, peers) = found
        .split_first()
        .ok_or_else(|| Failure::new("nothing was measured"))?;
    let report = Report {
        name: "peers",
        title: "Beside the peers",
        head: HEAD,
        order: TURNS,
        runs: super::RUNS,
        lines: lines(ours, peers),
        notes: notes(ours, peers, size),
        facts,
        is_quick: options.quick,
    };
    report.write(None)?;
    let tables = format!("{}\n{}", side_by_side(ours, peers), ratios(ours, peers));
    println!("\n{tables}");
    if let Some(folder) = options.folder(super::RUNS) {
        std::fs::create_dir_all(&folder)?;
        // The tables stand in front of the notes' picture.
        let page = report.markdown();
        let (before, after) = page.split_once("\n![").unwrap_or((&page, ""));
        std::fs::write(folder.join("peers.md"), format!("{before}\n{tables}\n![{after}"))?;
        std::fs::write(folder.join("peers.svg"), report.svg())?;
        let mut json = report.json();
        json["peers"] = found.iter().map(of_peer).collect();
        std::fs::write(
            folder.join("peers.json"),
            serde_json::to_string_pretty(&json)? + "\n",
        )?;
        println!("\nWritten: {}", folder.join("peers.md").display());
    }
    report.verdict()
}

/// What was to be reached, and for the other rows ours beside the best peer.
fn lines(ours: &Found, peers: &[Found]) -> Vec<Line> {
    let mut lines = Vec::new();
    for row in Row::ALL {
        let Some(mine) = ours.of(row) else { continue };
        if let Some((floor, aim)) = row.by_itself() {
            lines.push(Line::new(row.title(), mine.clone()).must_reach(floor, aim));
        }
        if row.is_circumstance() {
            continue;
        }
        if row.is_of_kills() {
            // Of the worst run: a median would forgive.
            let mut worst = row.series();
            worst.push(mine.range().1);
            lines.push(Line::new(format!("{}, worst run", row.title()), worst).must_reach(0.0, 0.0));
            continue;
        }
        let goals = goals(row);
        for (name, floor, aim) in goals {
            // A peer that was left out on the command line is no goal; one that failed is a goal that nothing judges.
            if let Some(peer) = named(peers, name) {
                // Of a backlog of another size it would be another thing.
                let is_alike = !row.is_of_backlog() || peer.events == ours.events;
                let theirs = peer.of(row).filter(|_| is_alike);
                let theirs = theirs.cloned().unwrap_or_else(|| row.series());
                lines.push(
                    Line::new(row.title(), mine.clone())
                        .against(*name, theirs)
                        .must_reach(*floor, *aim),
                );
            }
        }
        if let (true, Some((name, theirs))) = (goals.is_empty(), best(peers, row)) {
            lines.push(Line::new(row.title(), mine.clone()).against(name, theirs.clone()));
        }
    }
    lines
}

/// Peer, floor and aim of the ratio of ours to it.
fn goals(row: Row) -> &'static [(&'static str, f64, f64)] {
    match row {
        Row::Drain | Row::Later => &[("poller", 2.5, 4.0), ("debezium tuned", 8.0, 8.0)],
        Row::P50At200 | Row::P50At1000 => &[("poller", 2.0, 1.0)],
        Row::P99At200 | Row::P99At1000 => &[("poller", 1.0, 1.0)],
        Row::Producers => &[("poller", 3.0, 3.0)],
        _ => &[],
    }
}

/// Whether ours is judged by its backlog.
pub(super) fn is_judged_by_backlog(name: &str) -> bool {
    let goals = Row::ALL
        .into_iter()
        .filter(|row| row.is_of_backlog())
        .flat_map(goals);
    goals.into_iter().any(|(peer, ..)| *peer == name)
}

fn named<'a>(peers: &'a [Found], name: &str) -> Option<&'a Found> {
    peers.iter().find(|found| found.peer.name == name)
}

/// The peer with the best median.
fn best(peers: &[Found], row: Row) -> Option<(&'static str, &Series)> {
    let all = peers
        .iter()
        .filter_map(|found| Some((found.peer.name, found.of(row)?)));
    all.reduce(|one, other| if is_better(other.1, one.1) { other } else { one })
}

fn is_better(one: &Series, other: &Series) -> bool {
    match one.better() {
        Better::Higher => one.median() > other.median(),
        Better::Lower => one.median() < other.median(),
    }
}

/// Where ours is not the best, what a peer failed at, and how large the backlogs were.
fn notes(ours: &Found, peers: &[Found], size: Size) -> Vec<String> {
    let mut notes = vec![format!(
        "Of each: a backlog, one of {} events in which it is killed {} times, delays for {} s at each rate behind {} s that do not count, producers \
         for {} s.",
        size.storm,
        size.kills,
        size.delay.as_secs(),
        size.warm.as_secs(),
        size.load.as_secs()
    )];
    let sizes: Vec<String> = std::iter::once(ours)
        .chain(peers)
        .map(|found| format!("{} {}", found.peer.name, found.events))
        .collect();
    notes.push(format!("Events of the backlog: {}.", sizes.join(", ")));
    for row in Row::ALL.into_iter().filter(|row| !row.is_circumstance()) {
        let (Some(mine), Some((name, theirs))) = (ours.of(row), best(peers, row)) else {
            continue;
        };
        if is_better(theirs, mine) {
            let (title, theirs_number, mine_number) =
                (row.title(), number(theirs.median()), number(mine.median()));
            notes.push(match theirs.is_apart_from(mine) {
                true => format!("**{title}**: {name} is better, {theirs_number} beside {mine_number}."),
                false => {
                    format!("**{title}**: not told apart from {name}, {theirs_number} beside {mine_number}.")
                }
            });
        }
    }
    for found in std::iter::once(ours).chain(peers) {
        if found.ended > 0 {
            notes.push(format!(
                "{} ended by itself {} times, and was started again.",
                found.peer.name, found.ended
            ));
        }
        for (measure, failure) in &found.failures {
            notes.push(format!("{measure:?} of {} failed: {failure}", found.peer.name));
        }
    }
    notes
}

/// Rows, and a column for each.
fn side_by_side(ours: &Found, peers: &[Found]) -> String {
    let mut table = String::from("## Side by side\n\n| | ours |");
    for found in peers {
        let _ = write!(table, " {} |", found.peer.name);
    }
    table += " ours is the best |\n|---|---|";
    table += &"---|".repeat(peers.len() + 1);
    table += "\n";
    for row in Row::ALL {
        let _ = write!(table, "| {} | {} |", row.title(), cell(ours.of(row)));
        for found in peers {
            let _ = write!(table, " {} |", cell(found.of(row)));
        }
        let verdict = match (ours.of(row), best(peers, row)) {
            _ if row.is_circumstance() => String::new(),
            (Some(mine), Some((_, theirs))) if !is_better(mine, theirs) && !is_better(theirs, mine) => {
                "as good".to_owned()
            }
            (Some(mine), Some((name, theirs))) if !theirs.is_apart_from(mine) => {
                format!("not told apart from {name}")
            }
            (Some(mine), Some((name, theirs))) if is_better(theirs, mine) => format!("no: {name}"),
            (Some(_), Some(_)) => "yes".to_owned(),
            _ => String::new(),
        };
        let _ = writeln!(table, " {verdict} |");
    }
    table
}

/// How many times better ours is; below 1 it is worse. The kills have no ratio.
fn ratios(ours: &Found, peers: &[Found]) -> String {
    let mut table = String::from(
        "## How many times better ours is\n\nBelow 1 it is worse. Of runs of the same round; none where a delay is not above zero.\n\n| |",
    );
    for found in peers {
        let _ = write!(table, " {} |", found.peer.name);
    }
    table += "\n|---|";
    table += &"---|".repeat(peers.len());
    table += "\n";
    let has_ratio = |row: &Row| !row.is_of_kills() && !row.is_circumstance();
    for row in Row::ALL.into_iter().filter(has_ratio) {
        let _ = write!(table, "| {} |", row.title());
        for found in peers {
            let ratio = match (ours.of(row), found.of(row)) {
                (Some(mine), Some(theirs)) if mine.better() == Better::Higher => Some(mine.over(theirs)),
                (Some(mine), Some(theirs)) => Some(theirs.over(mine)),
                _ => None,
            };
            let _ = write!(table, " {} |", cell(ratio.as_ref()));
        }
        table += "\n";
    }
    table
}

/// A median with its range.
fn cell(series: Option<&Series>) -> String {
    let Some(series) = series else {
        return "–".to_owned();
    };
    let (low, high) = series.range();
    match series.values().len() {
        0 => "–".to_owned(),
        1 => number(series.median()),
        _ => format!("{} ({}–{})", number(series.median()), number(low), number(high)),
    }
}

fn of_peer(found: &Found) -> serde_json::Value {
    let rows = found
        .rows
        .iter()
        .filter(|(_, series)| !series.values().is_empty());
    let rows = rows.map(|(row, series)| {
        let (low, high) = series.range();
        let values = json!({"median": series.median(), "low": low, "high": high, "runs": series.values()});
        (row.title().to_owned(), values)
    });
    json!({
        "name": found.peer.name,
        "is_ours": found.peer.kind == Kind::Ours,
        "rows": rows.collect::<serde_json::Map<_, _>>(),
        "failures": found.failures.iter().map(|(measure, failure)| format!("{measure:?}: {failure}")).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::Measure;
    use super::super::peer::Peer;
    use super::{Found, Row, lines, notes, ratios, side_by_side};

    fn found(peer: Peer, values: &[(Row, f64)]) -> Found {
        let mut found = Found::new(peer, 1_000);
        values
            .iter()
            .for_each(|(row, value)| found.note(*row, Some(*value)));
        found
    }

    #[test]
    fn ranges_that_meet_have_no_winner_and_a_goal_whose_peer_failed_is_not_judged() {
        let both = |low, high| [(Row::P50At200, low), (Row::P50At200, high), (Row::Drain, 100.0)];
        let ours = found(Peer::ALL[0], &both(1.0, 3.0));
        let mut poller = found(Peer::ALL[1], &both(0.5, 2.0)[..2]);
        poller.note(Row::Drain, None);
        let table = side_by_side(&ours, &[poller.clone()]);
        assert!(table.contains("not told apart from poller"), "{table}");
        let lines = lines(&ours, &[poller]);
        let drain = lines.iter().find(|line| line.what == Row::Drain.title());
        assert!(drain.is_some_and(
            |line| !line.is_met() && line.ratio().is_some_and(|ratio| ratio.values().is_empty())
        ));
    }

    #[test]
    fn a_backlog_of_another_size_judges_nothing_and_a_delay_below_zero_has_no_ratio() {
        let values = [(Row::Later, 100.0), (Row::P50At200, -0.5)];
        let (ours, mut poller) = (found(Peer::ALL[0], &values), found(Peer::ALL[1], &values));
        let judged = |poller: &Found| {
            let lines = lines(&ours, std::slice::from_ref(poller));
            let later = lines.into_iter().find(|line| line.what == Row::Later.title());
            later.and_then(|line| line.ratio()).map(|ratio| ratio.values())
        };
        assert_eq!(judged(&poller), Some(vec![1.0]));
        poller.events = 10;
        assert_eq!(judged(&poller), Some(Vec::new()));
        let ratios = ratios(&ours, &[poller]);
        assert!(ratios.contains("| delay at 200/s, p50, ms | – |"), "{ratios}");
    }

    #[test]
    fn ours_is_judged_by_what_came_and_what_it_published_meanwhile() {
        let ours = found(Peer::ALL[0], &[(Row::Part, 0.5), (Row::KeptAt200, 0.9)]);
        let missed: Vec<String> = lines(&ours, &[])
            .into_iter()
            .filter(|line| !line.is_met())
            .map(|line| line.what)
            .collect();
        assert_eq!(missed, [Row::KeptAt200.title(), Row::Part.title()]);
    }

    #[test]
    fn where_ours_is_behind_the_page_says_so_and_every_kill_counts() {
        let ours = [
            (Row::Drain, 100.0),
            (Row::P50At200, 2.0),
            (Row::Lost, 0.0),
            (Row::Lost, 1.0),
        ];
        let ours = found(Peer::ALL[0], &ours);
        let mut poller = found(
            Peer::ALL[1],
            &[(Row::Drain, 50.0), (Row::P50At200, 0.5), (Row::Lost, 0.0)],
        );
        poller.failures.push((Measure::Producers, "it ended".to_owned()));
        let peers = [poller];
        let table = side_by_side(&ours, &peers);
        assert!(
            table.contains("| backlog, events/s | 100 | 50.0 | yes |"),
            "{table}"
        );
        assert!(
            table.contains("| delay at 200/s, p50, ms | 2.00 | 0.50 | no: poller |"),
            "{table}"
        );
        let ratios = ratios(&ours, &peers);
        assert!(ratios.contains("| backlog, events/s | 2.00 |"), "{ratios}");
        assert!(ratios.contains("| delay at 200/s, p50, ms | 0.25 |"), "{ratios}");
        let notes = notes(&ours, &peers, super::Size::QUICK).join("\n");
        assert!(
            notes.contains("**delay at 200/s, p50, ms**: poller is better, 0.50 beside 2.00."),
            "{notes}"
        );
        assert!(notes.contains("Producers of poller failed: it ended"), "{notes}");
        let missed: Vec<String> = lines(&ours, &peers)
            .into_iter()
            .filter(|line| !line.is_met())
            .map(|line| line.what)
            .collect();
        assert_eq!(
            missed,
            [
                "backlog, events/s",
                "delay at 200/s, p50, ms",
                "killed: lost, worst run"
            ]
        );
    }
}
