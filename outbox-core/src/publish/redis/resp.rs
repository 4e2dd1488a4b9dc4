//! Pure: answers of Redis out of the bytes that come, as many as are whole (RESP 2).
//!
//! A parcel of 500 entries is answered by a thousand small values: they are read as they come, none of them twice.

use redis::{Value, parse_redis_value};

/// Lists within lists: what Redis answers to us has four.
const DEEPEST: usize = 32;
/// Of what is read, so much is let go of at once.
const READ_BYTES: usize = 64 << 10;

/// Memory that is kept for the answers to come: more than those to a parcel take, and less than a page of entries does.
const KEPT_BYTES: usize = 1 << 20;

/// The bytes are no answers.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Broken(pub(super) &'static str);

/// Bytes that came, and what they are part of.
#[derive(Debug, Default)]
pub(super) struct Answers {
    bytes: Vec<u8>,
    read: usize,
    /// Lists that are not whole, with how many values they should have.
    lists: Vec<(usize, Vec<Value>)>,
}

impl Answers {
    /// Where the next bytes go.
    pub(super) fn room(&mut self) -> &mut Vec<u8> {
        if self.read == self.bytes.len() {
            self.bytes.clear();
            self.bytes.shrink_to(KEPT_BYTES);
            self.read = 0;
        } else if self.read > READ_BYTES {
            self.bytes.drain(..self.read);
            self.read = 0;
        }
        self.bytes.reserve(READ_BYTES);
        &mut self.bytes
    }

    /// The next answer, if it is whole.
    pub(super) fn next(&mut self) -> Result<Option<Value>, Broken> {
        loop {
            let mut value = match self.part()? {
                None => return Ok(None),
                Some(Part::List(0)) => Value::Array(Vec::new()),
                Some(Part::List(count)) => {
                    if self.lists.len() >= DEEPEST {
                        return Err(Broken("lists within lists without end"));
                    }
                    self.lists.push((count, Vec::with_capacity(count.min(1024))));
                    continue;
                }
                Some(Part::Value(value)) => value,
            };
            loop {
                let Some((count, values)) = self.lists.last_mut() else {
                    return Ok(Some(value));
                };
                values.push(value);
                if values.len() < *count {
                    break;
                }
                value = Value::Array(std::mem::take(values));
                self.lists.pop();
            }
        }
    }

    /// The next value that holds no others, or the head of a list.
    fn part(&mut self) -> Result<Option<Part>, Broken> {
        let rest = &self.bytes[self.read..];
        let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") else {
            return Ok(None);
        };
        let (line, behind) = (&rest[..end], end + 2);
        let Some((kind, text)) = line.split_first() else {
            return Err(Broken("an empty line"));
        };
        let (part, took) = match kind {
            // What a transaction answers to each command says nothing besides.
            b'+' if text == b"QUEUED" || text == b"OK" => (Part::Value(Value::Okay), behind),
            b'+' => {
                let text = String::from_utf8_lossy(text).into_owned();
                (Part::Value(Value::SimpleString(text)), behind)
            }
            b'-' => {
                let refusal =
                    parse_redis_value(&rest[..behind]).map_err(|_| Broken("an unreadable refusal"))?;
                (Part::Value(refusal), behind)
            }
            b':' => (Part::Value(Value::Int(number(text)?)), behind),
            b'$' | b'*' if text == b"-1" => (Part::Value(Value::Nil), behind),
            b'*' => (Part::List(length(text)?), behind),
            b'$' => {
                let end = behind + length(text)?;
                match rest.get(end..end + 2) {
                    None => return Ok(None),
                    Some(b"\r\n") => {}
                    Some(_) => return Err(Broken("a value that does not end where it says")),
                }
                (
                    Part::Value(Value::BulkString(rest[behind..end].to_vec())),
                    end + 2,
                )
            }
            _ => return Err(Broken("a kind of answer that is not of RESP 2")),
        };
        self.read += took;
        Ok(Some(part))
    }
}

enum Part {
    Value(Value),
    List(usize),
}

fn number(text: &[u8]) -> Result<i64, Broken> {
    let text = std::str::from_utf8(text).map_err(|_| Broken("a number that is none"))?;
    text.parse().map_err(|_| Broken("a number that is none"))
}

fn length(text: &[u8]) -> Result<usize, Broken> {
    // Redis has no value above 512 MiB.
    match usize::try_from(number(text)?) {
        Ok(length) if length <= 1 << 29 => Ok(length),
        _ => Err(Broken("a length that cannot be")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWERS: [&[u8]; 10] = [
        b"+OK\r\n",
        b"+QUEUED\r\n",
        b"-ERR The ID specified in XADD is equal or smaller than the target stream top item\r\n",
        b"*3\r\n*1\r\n*2\r\n$3\r\n5-1\r\n*2\r\n$5\r\nevent\r\n$4\r\n\r\n{}\r\n$3\r\n9-1\r\n-WRONGTYPE Operation\r\n",
        b"*0\r\n",
        b"$-1\r\n",
        b"*-1\r\n",
        b":-7\r\n",
        b"$0\r\n\r\n",
        b"+PONG\r\n",
    ];

    #[test]
    fn answers_are_those_of_the_driver_however_the_bytes_are_cut() {
        let expected = ANSWERS.map(|answer| match parse_redis_value(answer).expect("an answer") {
            Value::SimpleString(text) if text == "QUEUED" => Value::Okay,
            value => value,
        });
        let bytes = ANSWERS.concat();
        for size in 1..=bytes.len() {
            let mut answers = Answers::default();
            let mut values = Vec::new();
            for piece in bytes.chunks(size) {
                answers.room().extend_from_slice(piece);
                while let Some(value) = answers.next().expect("answers") {
                    values.push(value);
                }
            }
            assert_eq!(values, expected, "in pieces of {size}");
        }
    }

    #[test]
    fn the_memory_of_a_large_answer_is_given_back() {
        let mut answers = Answers::default();
        let large = vec![b'x'; 8 << 20];
        let bytes = [b"$8388608\r\n", large.as_slice(), b"\r\n:1\r\n"].concat();
        for piece in bytes.chunks(READ_BYTES) {
            answers.room().extend_from_slice(piece);
        }
        assert_eq!(answers.next(), Ok(Some(Value::BulkString(large))));
        assert_eq!(answers.next(), Ok(Some(Value::Int(1))));
        let kept = answers.room().capacity();
        assert!(kept <= KEPT_BYTES, "{kept} bytes");
    }

    #[test]
    fn what_is_no_answer_is_said() {
        for bytes in [
            &b"\r\n"[..],
            b"?1\r\n",
            b":x\r\n",
            b"$2\r\nabcd",
            b"$-2\r\n",
            b"*9999999999\r\n",
            b"%1\r\n",
        ] {
            let mut answers = Answers::default();
            answers.room().extend_from_slice(bytes);
            assert!(answers.next().is_err(), "{}", String::from_utf8_lossy(bytes));
        }
    }
}
