//! Records become batches, on a thread of their own: reading and parsing block.

use outbox_core::append::NewEvent;
use tokio::sync::mpsc;

use super::Error;
use super::arguments::{BadLines, Plan};
use super::input::{Record, Records};
use super::pg::Position;
use super::record::Digest;

/// Events of one batch: far below what one append may hold.
const EVENTS_MAX: usize = 2_000;
/// Bytes of one batch, about: its payloads are in memory three times at most.
const BYTES_MAX: usize = 8 * 1024 * 1024;

/// One record as events, or why it cannot be that.
pub(super) struct Line {
    pub(super) number: u64,
    pub(super) events: Result<Vec<NewEvent>, String>,
    /// Where the import is once this record is done.
    pub(super) after: Position,
}

/// Passes over what is imported, then sends the rest in batches. The end of the channel is the end of the input.
pub(super) fn read(
    plan: &Plan,
    mut records: Records,
    done: &Position,
    batches: &mpsc::Sender<Vec<Line>>,
) -> Result<(), Error> {
    let mut digest = Digest::default();
    pass_over(&mut records, &mut digest, done)?;
    let mut position = done.clone();
    let mut batch = Batch::default();
    while let Some(record) = records.next(&mut digest)? {
        position = Position {
            records: position.records + 1,
            digest: digest.value(),
        };
        let Record {
            line: number,
            content,
            bytes,
        } = record;
        let events = content
            .and_then(|content| content.map_or(Ok(Vec::new()), |content| plan.mapping.events(&content)));
        let ends = events.is_err() && plan.bad_lines == BadLines::Fatal;
        batch.add(
            Line {
                number,
                events,
                after: position.clone(),
            },
            bytes,
        );
        if ends || batch.is_full(plan.batch) {
            let full = std::mem::take(&mut batch);
            // Nobody receives any more: the import ended, and says why.
            if batches.blocking_send(full.lines).is_err() || ends {
                return Ok(());
            }
        }
    }
    if !batch.lines.is_empty() {
        batches.blocking_send(batch.lines).ok();
    }
    Ok(())
}

fn pass_over(records: &mut Records, digest: &mut Digest, done: &Position) -> Result<(), Error> {
    for passed in 0..done.records {
        if records.next(digest)?.is_none() {
            return Err(Error::Refused(format!(
                "the input ends after {passed} records although {} of it are imported: it is not the one that the import \
                 was begun with. For another input give another --name",
                done.records
            )));
        }
    }
    if done.records > 0 && digest.value() != done.digest {
        return Err(Error::Refused(format!(
            "the first {} records are not those that were imported: the input was changed. To import it from its \
             beginning give another --name",
            done.records
        )));
    }
    Ok(())
}

#[derive(Default)]
struct Batch {
    lines: Vec<Line>,
    events: usize,
    bytes: usize,
}

impl Batch {
    fn add(&mut self, line: Line, bytes: usize) {
        let events = line.events.as_ref().map_or(0, Vec::len);
        self.events += events;
        self.bytes += bytes * events;
        self.lines.push(line);
    }

    fn is_full(&self, lines_max: usize) -> bool {
        self.lines.len() >= lines_max || self.events >= EVENTS_MAX || self.bytes >= BYTES_MAX
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::import::arguments::Format;
    use crate::import::mapping::{Kinds, Mapping, Value};

    const INPUT: &str = "{\"n\":1}\n\n{\"n\":2}\nnonsense\n{\"n\":3}\n";

    /// Lines with their batches' sizes, and how reading ended.
    fn run(text: &str, done: &Position, bad_lines: BadLines) -> (Vec<Line>, Result<(), Error>) {
        let plan = Plan {
            file: None,
            format: Format::Ndjson,
            name: "test".to_owned(),
            mapping: Mapping {
                topic: Value::Constant("numbers".to_owned()),
                kinds: Kinds::One(None),
                key: None,
                id: None,
                data: None,
                source: None,
            },
            batch: 2,
            bad_lines,
        };
        let records =
            Records::new(Box::new(Cursor::new(text.as_bytes().to_vec())), Format::Ndjson).expect("reads");
        let (sender, mut batches) = mpsc::channel(10);
        let ended = read(&plan, records, done, &sender);
        drop(sender);
        let mut lines = Vec::new();
        while let Some(batch) = batches.blocking_recv() {
            assert!(batch.len() <= 2);
            lines.extend(batch);
        }
        (lines, ended)
    }

    #[test]
    fn a_second_run_begins_where_the_first_one_was_and_only_over_the_same_beginning() {
        let (lines, ended) = run(INPUT, &Position::default(), BadLines::Skip);
        assert!(ended.is_ok());
        let events: Vec<Option<usize>> = lines
            .iter()
            .map(|line| line.events.as_ref().map(Vec::len).ok())
            .collect();
        assert_eq!(events, [Some(1), Some(0), Some(1), None, Some(1)]);

        let (rest, ended) = run(INPUT, &lines[2].after, BadLines::Skip);
        assert!(ended.is_ok());
        assert_eq!(rest.iter().map(|line| line.number).collect::<Vec<_>>(), [4, 5]);
        assert_eq!(rest[1].after, lines[4].after);

        let changed = INPUT.replace("{\"n\":2}", "{\"n\":7}");
        assert!(
            matches!(run(&changed, &lines[2].after, BadLines::Skip), (none, Err(Error::Refused(_))) if none.is_empty())
        );
        let shorter = "{\"n\":1}\n";
        assert!(
            matches!(run(shorter, &lines[2].after, BadLines::Skip), (none, Err(Error::Refused(_))) if none.is_empty())
        );
    }

    #[test]
    fn a_fatal_bad_line_is_the_last_one() {
        let (lines, ended) = run(INPUT, &Position::default(), BadLines::Fatal);
        assert!(ended.is_ok());
        assert_eq!(
            lines
                .iter()
                .map(|line| (line.number, line.events.is_ok()))
                .collect::<Vec<_>>(),
            [(1, true), (2, true), (3, true), (4, false)]
        );
    }
}
