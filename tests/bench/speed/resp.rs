//! The entries of streams as the bytes that `redis-cli --pipe` sends: read back, checked, put into a file, sent.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::process::{Command, Stdio};
use std::time::Instant;

use redis::aio::MultiplexedConnection;
use system_tests::stream::EntryId;
use system_tests::{Failure, Result};
use tempfile::NamedTempFile;

use super::program::redis_cli;

const PAGE: usize = 2_000;
/// What is in front of the number in the payload of an event.
const NUMBER: &[u8] = b"\"number\"";
/// What is in front of its key.
const KEY: &[u8] = b"\"partitionkey\":\"";

/// An entry: its id, and its fields with their values.
type Raw = (String, Vec<Vec<u8>>);

/// One stream that is read page by page.
struct Reading<'a> {
    stream: &'a str,
    page: VecDeque<(EntryId, Raw)>,
    after: String,
    newest: HashMap<Vec<u8>, i64>,
}

/// Writes all entries of these streams as commands into a file, in the order of their ids, and checks that they are the events 1 to
/// `events`: the numbers of each key rise on each stream, and none is missing.
pub(super) async fn read_back(
    redis: &mut MultiplexedConnection,
    streams: &[String],
    events: i64,
) -> Result<NamedTempFile> {
    let file = NamedTempFile::new()?;
    let mut writer = BufWriter::with_capacity(1 << 20, file.reopen()?);
    let mut readings: Vec<Reading<'_>> = streams.iter().map(|stream| Reading::new(stream)).collect();
    let (mut count, mut sum) = (0, 0);
    loop {
        for reading in &mut readings {
            reading.turn_page(redis).await?;
        }
        let first = readings
            .iter_mut()
            .filter(|reading| !reading.page.is_empty())
            .min_by_key(|reading| reading.page.front().map(|(id, _)| *id));
        let Some(reading) = first else { break };
        let number = reading.take(&mut writer)?;
        count += 1;
        sum += number;
    }
    if count != events || sum != events * (events + 1) / 2 {
        return Err(Failure::new(format!(
            "{count} entries for {events} events, or others than these"
        )));
    }
    // What is still on its way to the disk would be written beside the next run.
    writer.into_inner()?.sync_all()?;
    Ok(file)
}

/// Sends them, and says how many seconds that took.
pub(super) fn send(redis_url: &str, file: &NamedTempFile, events: i64) -> Result<f64> {
    let mut command = Command::new(redis_cli()?);
    command
        .args(["-u", redis_url, "--pipe"])
        .stdin(Stdio::from(File::open(file.path())?));
    let began = Instant::now();
    let ended = command.output()?;
    let seconds = began.elapsed().as_secs_f64();
    let said = String::from_utf8_lossy(&ended.stdout);
    match said.contains(&format!("errors: 0, replies: {events}")) {
        true => Ok(seconds),
        false => Err(Failure::new(format!(
            "redis-cli: {said}{}",
            String::from_utf8_lossy(&ended.stderr)
        ))),
    }
}

impl<'a> Reading<'a> {
    fn new(stream: &'a str) -> Self {
        Self {
            stream,
            page: VecDeque::new(),
            after: "-".to_owned(),
            newest: HashMap::new(),
        }
    }

    async fn turn_page(&mut self, redis: &mut MultiplexedConnection) -> Result {
        if !self.page.is_empty() || self.after.is_empty() {
            return Ok(());
        }
        let page: Vec<Raw> = redis::cmd("XRANGE")
            .arg(self.stream)
            .arg(&self.after)
            .arg("+")
            .arg("COUNT")
            .arg(PAGE)
            .query_async(redis)
            .await?;
        self.after = page.last().map_or_else(String::new, |(id, _)| format!("({id}"));
        for entry in page {
            let id = EntryId::parse(&entry.0).ok_or_else(|| Failure::new("an odd id on a stream"))?;
            self.page.push_back((id, entry));
        }
        Ok(())
    }

    /// Writes its next entry, and returns the number in it.
    fn take(&mut self, writer: &mut BufWriter<File>) -> Result<i64> {
        let Some((_, (id, fields))) = self.page.pop_front() else {
            return Err(Failure::new("nothing is left on the page"));
        };
        let number = fields
            .get(1)
            .and_then(|event| number(event))
            .ok_or_else(|| Failure::new(format!("entry {id} has no number")))?;
        let key = fields
            .get(1)
            .and_then(|event| text(event, KEY))
            .unwrap_or_default();
        if let Some(before) = self.newest.insert(key, number).filter(|before| *before >= number) {
            return Err(Failure::new(format!(
                "{}: event {number} behind event {before} of its key",
                self.stream
            )));
        }
        write!(writer, "*{}\r\n", fields.len() + 3)?;
        for word in [b"XADD", self.stream.as_bytes(), id.as_bytes()] {
            bulk(writer, word)?;
        }
        for word in &fields {
            bulk(writer, word)?;
        }
        Ok(number)
    }
}

fn bulk(writer: &mut BufWriter<File>, word: &[u8]) -> Result {
    write!(writer, "${}\r\n", word.len())?;
    writer.write_all(word)?;
    Ok(writer.write_all(b"\r\n")?)
}

/// The number that a payload has.
pub(super) fn number(event: &[u8]) -> Option<i64> {
    let at = event.windows(NUMBER.len()).position(|part| part == NUMBER)? + NUMBER.len();
    let digits: Vec<u8> = event[at..]
        .iter()
        .copied()
        .skip_while(|byte| matches!(byte, b' ' | b':'))
        .take_while(u8::is_ascii_digit)
        .collect();
    std::str::from_utf8(&digits).ok()?.parse().ok()
}

/// What stands behind these bytes up to the next quotation mark; no such mark is in what is looked for.
pub(super) fn text(event: &[u8], head: &[u8]) -> Option<Vec<u8>> {
    let at = event.windows(head.len()).position(|part| part == head)? + head.len();
    Some(
        event[at..]
            .iter()
            .copied()
            .take_while(|byte| *byte != b'"')
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::{number, text};

    #[test]
    fn the_number_of_a_payload_is_found() {
        assert_eq!(
            number(br#"{"id":"1","data":{"number" : 417, "filling":"x"}}"#),
            Some(417)
        );
        assert_eq!(number(br#"{"id":"1","data":{"number":"x"}}"#), None);
        assert_eq!(number(b"{}"), None);
        assert_eq!(
            text(br#"{"key":"a","b":1}"#, b"\"key\":\"").as_deref(),
            Some(&b"a"[..])
        );
    }
}
