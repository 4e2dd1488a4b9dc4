//! Files from and to a database.

use std::io::SeekFrom;

use sqlx::PgConnection;
use tokio::io::{AsyncBufRead, AsyncSeek, AsyncSeekExt as _, AsyncWrite, AsyncWriteExt as _};

use super::lines::Lines;
use super::progress::{Exported, Imported, Topics};
use super::row::Row;
use super::summary::{Tally, is_last};
use crate::event_store::read::{PageLimits, StreamRead, read_page};
use crate::event_store::{Error, Expected, Outcome, append};

/// No batch of an import has more events, or, but for its first, more bytes.
const BATCH_EVENTS_MAX: usize = 500;
const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Writes streams to a file, one after the other, and says after each page how far it is. A stream that is not there has no line.
///
/// # Errors
/// When the database cannot be read, or the file cannot be written.
pub async fn export_streams<'s>(
    connection: &mut PgConnection,
    streams: impl IntoIterator<Item = &'s crate::event_store::StreamName>,
    out: &mut (impl AsyncWrite + Unpin),
    mut progress: impl FnMut(Exported),
) -> Result<Exported, Error> {
    let (mut tally, mut done, mut lines) = (Tally::default(), Exported::default(), Vec::new());
    for stream in streams {
        let mut from = 1;
        loop {
            let page = read_page(connection, &StreamRead::of(stream).from_version(from)).await?;
            let Some(last) = page.last() else { break };
            from = last.version + 1;
            lines.clear();
            for stored in page {
                let (begins, version) = (lines.len(), stored.version);
                Row::of(stored)
                    .write(&mut lines)
                    .map_err(|said| refuse(&tally, said))?;
                tally.add(&lines[begins..], stream, version);
            }
            write(out, &lines, &tally).await?;
            done = Exported {
                streams: tally.streams(),
                events: tally.events(),
                bytes: done.bytes + lines.len() as u64,
            };
            progress(done);
        }
    }
    let last = std::mem::take(&mut tally).line();
    write(out, &last, &tally).await?;
    out.flush()
        .await
        .map_err(|error| refuse(&tally, format!("the file cannot be written: {error}")))?;
    done.bytes += last.len() as u64;
    Ok(done)
}

async fn write(out: &mut (impl AsyncWrite + Unpin), bytes: &[u8], tally: &Tally) -> Result<(), Error> {
    out.write_all(bytes)
        .await
        .map_err(|error| refuse(tally, format!("the file cannot be written: {error}")))
}

fn refuse(tally: &Tally, said: String) -> Error {
    Error::File {
        line: tally.events() + 1,
        said,
    }
}

/// Appends what is in a file, batch by batch, after all of it was checked, and says after each how far it is. What is there already
/// is compared, and not appended again.
///
/// # Errors
/// When the file is not whole, has a gap, or says other things of a version than what is stored: nothing is appended of that batch.
pub async fn import_streams<R: AsyncBufRead + AsyncSeek + Unpin>(
    connection: &mut PgConnection,
    file: &mut R,
    topics: Topics,
    mut progress: impl FnMut(Imported),
) -> Result<Imported, Error> {
    check(file).await?;
    rewind(file).await?;
    let (mut lines, mut done) = (Lines::of(file), Imported::default());
    let (mut batch, mut batch_bytes): (Vec<Row>, usize) = (Vec::new(), 0);
    loop {
        let line = lines.next().await?.filter(|line| !is_last(line));
        let row = match &line {
            Some(line) => Some(Row::read(line).map_err(|said| lines.refuse(said))?),
            None => None,
        };
        let bytes = line.map_or(0, |line| line.len());
        let is_full = batch.len() == BATCH_EVENTS_MAX || batch_bytes + bytes > BATCH_BYTES_MAX;
        let goes_on = row
            .as_ref()
            .zip(batch.last())
            .is_some_and(|(row, last)| row.stream == last.stream && row.version == last.version + 1);
        if let Some(first) = batch.first()
            && (is_full || !goes_on)
        {
            done.streams += u64::from(first.version == 1);
            done.events += batch.len() as u64;
            done.appended += land(connection, std::mem::take(&mut batch), topics, &lines).await?;
            batch_bytes = 0;
            progress(done);
        }
        let Some(row) = row else {
            return Ok(done);
        };
        batch.push(row);
        batch_bytes += bytes;
    }
}

/// Reads all of a file, and appends nothing.
async fn check<R: AsyncBufRead + AsyncSeek + Unpin>(file: &mut R) -> Result<(), Error> {
    rewind(file).await?;
    let (mut lines, mut tally) = (Lines::of(file), Tally::default());
    while let Some(line) = lines.next().await? {
        if is_last(&line) {
            tally.expect(&line).map_err(|said| lines.refuse(said))?;
            return match lines.next().await? {
                None => Ok(()),
                Some(_) => Err(lines.refuse("it is behind the last line")),
            };
        }
        let row = Row::read(&line).map_err(|said| lines.refuse(said))?;
        tally.check(&row).map_err(|said| lines.refuse(said))?;
        let _ = row.to_append(false).map_err(|said| lines.refuse(said))?;
        tally.add(&line, &row.stream, row.version);
    }
    Err(lines.refuse("the last line is missing: the file is not whole"))
}

async fn rewind<R: AsyncSeek + Unpin>(file: &mut R) -> Result<(), Error> {
    file.seek(SeekFrom::Start(0)).await.map_err(|error| Error::File {
        line: 0,
        said: format!("the file cannot be read from its beginning: {error}"),
    })?;
    Ok(())
}

/// Appends of a batch what is not there, and compares the rest. Returns how many were appended.
async fn land<R: AsyncBufRead + Unpin>(
    connection: &mut PgConnection,
    batch: Vec<Row>,
    topics: Topics,
    lines: &Lines<'_, R>,
) -> Result<u64, Error> {
    let (Some(first), Some(last)) = (batch.first(), batch.last()) else {
        return Ok(0);
    };
    let (stream, first, last) = (first.stream.clone(), first.version, last.version);
    let mut there = first;
    'pages: while there <= last {
        let limits = PageLimits {
            events_max: BATCH_EVENTS_MAX as u32,
            ..PageLimits::default()
        };
        let read = StreamRead::of(&stream).from_version(there).limits(limits);
        let page = read_page(connection, &read).await?;
        if page.is_empty() {
            break;
        }
        for (row, stored) in batch[(there - first) as usize..].iter().zip(&page) {
            if !row.is_same(stored) {
                return Err(lines.refuse(format!(
                    "version {} of stream {stream} is another event than the one that is stored",
                    row.version
                )));
            }
            there = row.version + 1;
            if there > last {
                break 'pages;
            }
        }
    }
    let rest = &batch[(there - first) as usize..];
    if rest.is_empty() {
        return Ok(0);
    }
    let events = rest
        .iter()
        .map(|row| row.to_append(topics == Topics::AsExported))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|said| lines.refuse(said))?;
    let count = events.len() as u64;
    match append(connection, &stream, Expected::Version(there - 1), events).await? {
        Outcome::Appended { .. } => Ok(count),
        Outcome::AlreadyAppended { version, .. } => Err(lines.refuse(format!(
            "its events are in stream {stream} already, up to version {version} and not {last}"
        ))),
        Outcome::Conflict { actual } => Err(lines.refuse(format!(
            "stream {stream} is at version {actual}, and {} was expected: somebody appends to it",
            there - 1
        ))),
    }
}
