//! Asks Redis how much of each stream a group has before it.

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use redis::aio::ConnectionLike;
use redis::{Pipeline, Value};

use super::lag::Seen;
use crate::event::{EntryId, envelope};
use crate::ops::Error;

/// How many streams are asked about at once.
const AT_ONCE: usize = 200;
/// Questions about one stream.
const QUESTIONS: usize = 3;

/// What Redis says of each stream: its key, the group, the entry that the group passed last. A stream that is not there, or
/// may not be asked, is as one without entries.
///
/// # Errors
/// The server does not answer.
pub async fn streams_seen<C: ConnectionLike>(
    connection: &mut C,
    streams: &[(String, String, Option<EntryId>)],
) -> Result<Vec<Seen>, Error> {
    let mut seen = Vec::with_capacity(streams.len());
    for streams in streams.chunks(AT_ONCE) {
        let mut ask = Pipeline::with_capacity(streams.len() * QUESTIONS);
        for (stream, _, passed) in streams {
            ask.cmd("XLEN").arg(stream);
            ask.cmd("XINFO").arg("GROUPS").arg(stream);
            let start = passed.map_or_else(|| "-".to_owned(), |id| format!("({id}"));
            ask.cmd("XRANGE")
                .arg(stream)
                .arg(start)
                .arg("+")
                .arg("COUNT")
                .arg(1);
        }
        let count = ask.len();
        let answers = connection.req_packed_commands(&ask, 0, count).await;
        let answers = answers.map_err(|error| Error::redis("how far consumers are behind", error))?;
        let clock_ms = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
        for ((_, group, _), answers) in streams.iter().zip(answers.chunks_exact(QUESTIONS)) {
            seen.push(read(group, answers, clock_ms));
        }
    }
    Ok(seen)
}

fn read(group: &str, answers: &[Value], clock_ms: u64) -> Seen {
    let told = told_of(group, &answers[1]);
    Seen {
        pending: told.as_ref().and_then(|told| told.get("pending").copied()),
        undelivered: told.as_ref().and_then(|told| told.get("lag").copied()),
        length: number(&answers[0]).unwrap_or(0),
        next: next(&answers[2]),
        clock_ms,
    }
}

/// The numbers that XINFO GROUPS tells of a group. A lag that is not known is nil, and then missing here.
fn told_of(group: &str, answer: &Value) -> Option<HashMap<String, u64>> {
    let Value::Array(groups) = answer else { return None };
    groups.iter().find_map(|told| {
        let Value::Array(flat) = told else { return None };
        let is_ours = flat.chunks_exact(2).any(|pair| {
            text(&pair[0]).as_deref() == Some("name") && text(&pair[1]).as_deref() == Some(group)
        });
        is_ours.then(|| {
            flat.chunks_exact(2)
                .filter_map(|pair| Some((text(&pair[0])?, number(&pair[1])?)))
                .collect()
        })
    })
}

fn next(answer: &Value) -> Option<(EntryId, Option<EntryId>)> {
    let Value::Array(entries) = answer else {
        return None;
    };
    let Some(Value::Array(entry)) = entries.first() else {
        return None;
    };
    let [id, Value::Array(flat)] = entry.as_slice() else {
        return None;
    };
    let id: EntryId = text(id)?.parse().ok()?;
    let fields: Vec<(Vec<u8>, Vec<u8>)> = flat
        .chunks_exact(2)
        .filter_map(|pair| Some((bytes(&pair[0])?, bytes(&pair[1])?)))
        .collect();
    let previous = envelope::decode_entry(&fields)
        .ok()
        .and_then(|event| event.previous_id);
    Some((id, previous))
}

fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Int(number) => u64::try_from(*number).ok(),
        _ => None,
    }
}

fn bytes(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::BulkString(bytes) => Some(bytes.clone()),
        Value::SimpleString(text) => Some(text.clone().into_bytes()),
        _ => None,
    }
}

fn text(value: &Value) -> Option<String> {
    String::from_utf8(bytes(value)?).ok()
}
