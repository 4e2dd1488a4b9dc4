//! Reading: a file or standard input, packed or not, as records.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use csv::ByteRecord;
use flate2::bufread::MultiGzDecoder;

use super::arguments::Format;
use super::record::{Content, Digest, LINE_BYTES_MAX};

const BUFFER_BYTES: usize = 64 * 1024;
const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];

type Reader = Box<dyn BufRead + Send>;

/// How much of the input was read, for the progress bar; of a packed file, packed.
#[derive(Clone, Debug, Default)]
pub(super) struct Meter {
    pub(super) read: Arc<AtomicU64>,
    pub(super) total: Option<u64>,
}

/// Opens it. Without a path: standard input.
pub(super) fn open(path: Option<&Path>) -> io::Result<(Reader, Meter)> {
    let mut meter = Meter::default();
    let raw: Box<dyn Read + Send> = match path {
        None => Box::new(io::stdin()),
        Some(path) => {
            let named =
                |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
            let file = File::open(path).map_err(named)?;
            // A pipe or device has no length.
            meter.total = file
                .metadata()
                .ok()
                .filter(std::fs::Metadata::is_file)
                .map(|metadata| metadata.len());
            Box::new(file)
        }
    };
    let mut counted = BufReader::with_capacity(
        BUFFER_BYTES,
        Counted {
            inner: raw,
            read: meter.read.clone(),
        },
    );
    let packed = counted.fill_buf()?.starts_with(GZIP_MAGIC);
    let reader: Reader = if packed {
        Box::new(BufReader::with_capacity(
            BUFFER_BYTES,
            MultiGzDecoder::new(counted),
        ))
    } else {
        Box::new(counted)
    };
    Ok((reader, meter))
}

struct Counted<R> {
    inner: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.read.fetch_add(length as u64, Ordering::Relaxed);
        Ok(length)
    }
}

/// One record: where it is, and what it holds or why that cannot be read.
pub(super) struct Record {
    pub(super) line: u64,
    /// None for a blank line.
    pub(super) content: Result<Option<Content>, String>,
    /// Its size, about.
    pub(super) bytes: usize,
}

/// The records of an input, in order.
pub(super) enum Records {
    Ndjson {
        reader: Reader,
        line: u64,
    },
    Csv {
        reader: Box<csv::Reader<Reader>>,
        header: Arc<[String]>,
    },
}

impl Records {
    /// Reads the header, where there is one.
    pub(super) fn new(reader: Reader, format: Format) -> io::Result<Self> {
        if format == Format::Ndjson {
            return Ok(Self::Ndjson { reader, line: 0 });
        }
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(reader);
        let header = reader
            .headers()
            .map_err(io_error)?
            .iter()
            .map(str::to_owned)
            .collect::<Arc<[String]>>();
        let mut names: Vec<&String> = header.iter().collect();
        names.sort();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            let sentence = format!("the header has two columns {:?}", twice[0]);
            return Err(io::Error::new(io::ErrorKind::InvalidData, sentence));
        }
        Ok(Self::Csv {
            reader: Box::new(reader),
            header,
        })
    }

    /// The next record, added to the digest; none at the end.
    pub(super) fn next(&mut self, digest: &mut Digest) -> io::Result<Option<Record>> {
        match self {
            Self::Ndjson { reader, line } => {
                let Some((bytes, whole)) = read_line(reader, LINE_BYTES_MAX)? else {
                    return Ok(None);
                };
                *line += 1;
                digest.add_line(&bytes);
                let length = bytes.len();
                let content = match whole {
                    true if bytes.is_empty() => Ok(None),
                    true => Content::of_line(unmarked(bytes, *line)).map(Some),
                    false => Err(format!("is longer than {LINE_BYTES_MAX} bytes")),
                };
                Ok(Some(Record {
                    line: *line,
                    content,
                    bytes: length,
                }))
            }
            Self::Csv { reader, header } => {
                let mut row = ByteRecord::new();
                if !reader.read_byte_record(&mut row).map_err(io_error)? {
                    return Ok(None);
                }
                digest.add_row(&row);
                let line = row.position().map_or(0, csv::Position::line);
                let content = Content::of_row(header, &row).map(Some);
                Ok(Some(Record {
                    line,
                    content,
                    bytes: row.as_slice().len(),
                }))
            }
        }
    }
}

/// A line without its end, and whether it is whole. Of a longer one the beginning, with the rest passed over.
fn read_line(reader: &mut Reader, max: usize) -> io::Result<Option<(Vec<u8>, bool)>> {
    let mut line = Vec::new();
    let length = reader
        .by_ref()
        .take(max as u64 + 1)
        .read_until(b'\n', &mut line)?;
    if length == 0 {
        return Ok(None);
    }
    let whole = line.ends_with(b"\n") || length <= max;
    if whole {
        line.truncate(line.trim_ascii_end().len());
    } else {
        reader.skip_until(b'\n')?;
    }
    Ok(Some((line, whole)))
}

/// Without the byte order mark that some programs put before the first line.
fn unmarked(bytes: Vec<u8>, line: u64) -> Vec<u8> {
    match bytes.strip_prefix(b"\xef\xbb\xbf") {
        Some(rest) if line == 1 => rest.to_vec(),
        _ => bytes,
    }
}

fn io_error(error: csv::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn lines(text: &[u8], max: usize) -> Vec<(Vec<u8>, bool)> {
        let mut reader: Reader = Box::new(Cursor::new(text.to_vec()));
        std::iter::from_fn(|| read_line(&mut reader, max).expect("memory reads")).collect()
    }

    #[test]
    fn a_line_that_is_too_long_is_passed_over_and_the_next_one_is_whole() {
        let read = lines(b"ab\r\nabcdefgh\n\nlast", 4);
        let expected: [(&[u8], bool); 4] = [(b"ab", true), (b"abcde", false), (b"", true), (b"last", true)];
        assert_eq!(read, expected.map(|(line, whole)| (line.to_vec(), whole)));
    }

    #[test]
    fn records_know_their_line_also_behind_a_field_of_several() {
        let reader: Reader = Box::new(Cursor::new(b"id,text\n1,\"a\nb\"\n2\n".to_vec()));
        let mut records = Records::new(reader, Format::Csv).expect("a header");
        let mut digest = Digest::default();
        let first = records.next(&mut digest).expect("reads").expect("a row");
        let second = records.next(&mut digest).expect("reads").expect("a row");
        assert!(first.line == 2 && first.content.is_ok());
        assert!(second.line == 4 && second.content.is_err());
        assert!(records.next(&mut digest).expect("reads").is_none());
    }

    #[test]
    fn two_columns_of_one_name_are_refused() {
        let reader: Reader = Box::new(Cursor::new(b"a,b,a\n".to_vec()));
        assert!(Records::new(reader, Format::Csv).is_err());
    }
}
