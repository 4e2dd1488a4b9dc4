//! How much answers will bring, before they are asked for: an entry may be as large as an event, and a page of such entries is more than
//! a connection brings in time.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use redis::{Pipeline, Value};

use super::connection::Connection;
use crate::event::EntryId;
use crate::publish::Error;

/// About so many bytes are asked for with one round trip.
pub(super) const PAGE_BYTES: u64 = 8 << 20;
/// Streams whose weights are asked for with one round trip.
const AT_ONCE: usize = 1_000;
/// No entry of a stream that takes so little memory is larger than that. Of a larger one the mean is a guess.
const SMALL: u64 = 64 << 10;
/// So many streams of which the last entry is a guess are read at once: each may be as large as an event may be.
const GUESSED: usize = 8;
/// Where the sink does not say: as large as an event may be unless the limit was raised.
const UNKNOWN: u64 = 256 << 10;

/// What the last entry of a stream weighs, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Weight {
    pub(super) bytes: u64,
    pub(super) is_guess: bool,
}

/// How many of the first streams are read at once; one at least.
pub(super) fn page(weights: &[Weight], bytes: u64) -> usize {
    let (mut sum, mut guessed) = (0_u64, 0);
    let fits = |weight: &&Weight| {
        sum = sum.saturating_add(weight.bytes);
        guessed += usize::from(weight.is_guess);
        sum <= bytes && guessed <= GUESSED
    };
    weights.iter().take_while(fits).count().max(1)
}

/// The payload of an answer.
pub(super) fn bytes_of(answer: &Value) -> u64 {
    match answer {
        Value::BulkString(bytes) => bytes.len() as u64,
        Value::Array(parts) => parts.iter().map(bytes_of).sum(),
        _ => 0,
    }
}

/// What entries weighed that were read on this connection.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<HashMap<String, (EntryId, u64)>>);

impl Known {
    pub(super) fn keep(&self, stream: &str, id: EntryId, bytes: u64) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(stream.to_owned(), (id, bytes));
    }

    fn of(&self, stream: &str, id: EntryId) -> Option<u64> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known
            .get(stream)
            .filter(|(of, _)| *of == id)
            .map(|(_, bytes)| *bytes)
    }
}

impl Connection {
    /// What these entries weigh, each the last of its stream; none: whichever is the last.
    pub(super) async fn weigh(&self, entries: &[(&str, Option<EntryId>)]) -> Result<Vec<Weight>, Error> {
        let mut weights: Vec<Option<Weight>> = entries
            .iter()
            .map(|(stream, id)| {
                let bytes = self.known.of(stream, (*id)?)?;
                Some(Weight {
                    bytes,
                    is_guess: false,
                })
            })
            .collect();
        let open: Vec<usize> = (0..entries.len()).filter(|at| weights[*at].is_none()).collect();
        for places in open.chunks(AT_ONCE) {
            let mut ask = Pipeline::new();
            for at in places {
                ask.cmd("XLEN").arg(entries[*at].0);
                ask.cmd("MEMORY").arg("USAGE").arg(entries[*at].0);
            }
            let answers = self.send(&ask).await?;
            for (at, told) in places.iter().zip(answers.chunks(2)) {
                weights[*at] = Some(guess(told));
            }
        }
        Ok(weights
            .into_iter()
            .map(|weight| weight.unwrap_or_else(|| guess(&[])))
            .collect())
    }
}

/// By the length of a stream and the memory that it takes.
fn guess(told: &[Value]) -> Weight {
    let (bytes, is_guess) = match told {
        [_, Value::Nil] => (0, false),
        [Value::Int(length), Value::Int(memory)] => {
            let (length, memory) = (length.unsigned_abs().max(1), memory.unsigned_abs());
            if memory <= SMALL {
                (memory / length.min(16), false)
            } else {
                (memory / length, true)
            }
        }
        _ => (UNKNOWN, true),
    };
    Weight { bytes, is_guess }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weight(bytes: u64, is_guess: bool) -> Weight {
        Weight { bytes, is_guess }
    }

    #[test]
    fn a_page_closes_by_bytes_and_by_what_is_a_guess() {
        let large = [weight(16 << 20, true); 40];
        assert_eq!(page(&large, PAGE_BYTES), 1, "one is read however large it is");
        assert_eq!(page(&[weight(1 << 20, false); 40], PAGE_BYTES), 8);
        assert_eq!(page(&[weight(100, true); 40], PAGE_BYTES), GUESSED);
        assert_eq!(page(&[weight(100, false); 40], PAGE_BYTES), 40);
        assert_eq!(page(&[], PAGE_BYTES), 1);
    }

    #[test]
    fn a_small_stream_has_no_large_entry_and_what_is_not_said_is_a_guess() {
        let told = |length, memory| guess(&[Value::Int(length), Value::Int(memory)]);
        assert_eq!(told(1, 900), weight(900, false));
        assert_eq!(told(10, 16 << 20), weight((16 << 20) / 10, true));
        assert_eq!(guess(&[Value::Int(0), Value::Nil]), weight(0, false));
        assert_eq!(guess(&[]), weight(UNKNOWN, true));
    }
}
