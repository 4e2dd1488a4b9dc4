//! Pure: a parcel as the bytes of its commands, the same that the driver would pack.

use redis::Pipeline;

use super::mark::mark_command;
use super::replicas::Replicas;
use crate::event::EntryId;
use crate::event::entry_id::write_number;
use crate::event::envelope::EVENT_FIELD;
use crate::publish::sink::{Fields, Parcel};

/// Appends the transaction of a parcel; so many answers come.
pub(super) fn pack(parcel: &Parcel, replicas: Option<&Replicas>, out: &mut Vec<u8>) -> usize {
    out.extend_from_slice(b"*1\r\n$5\r\nMULTI\r\n");
    let mut before = Pipeline::new();
    look_before(&mut before, parcel);
    out.extend_from_slice(&before.get_packed_pipeline());
    for entry in &parcel.entries {
        add(out, &parcel.stream, entry.id, &entry.fields);
    }
    let mut behind = Pipeline::new();
    mark_behind(&mut behind, parcel, replicas);
    out.extend_from_slice(&behind.get_packed_pipeline());
    1 + before.len() + parcel.entries.len() + behind.len()
}

/// The mark and the predecessor are read first: a stream that somebody else began to write to, and one that lost its end,
/// are noticed by the very next parcel.
pub(super) fn look_before(pipeline: &mut Pipeline, parcel: &Parcel) {
    pipeline
        .cmd("XREVRANGE")
        .arg(&parcel.mark.0)
        .arg("+")
        .arg("-")
        .arg("COUNT")
        .arg(1);
    if parcel.predecessor > EntryId::MIN {
        let id = parcel.predecessor.to_string();
        pipeline.cmd("XRANGE").arg(&parcel.stream).arg(&id).arg(&id);
    }
}

/// What the transaction ends with, and what is asked behind it.
pub(super) fn mark_behind(pipeline: &mut Pipeline, parcel: &Parcel, replicas: Option<&Replicas>) {
    let (key, mark) = &parcel.mark;
    mark_command(pipeline, key, mark);
    if let Some(replicas) = replicas {
        replicas.write(pipeline);
    }
    pipeline.cmd("EXEC");
    if let Some(replicas) = replicas {
        replicas.wait(pipeline);
    }
}

fn add(out: &mut Vec<u8>, stream: &str, id: EntryId, fields: &Fields) {
    let words = match fields {
        Fields::Written { .. } => 5,
        Fields::Each { fields, .. } => 3 + 2 * fields.len(),
    };
    head(out, b'*', words);
    word(out, b"XADD");
    word(out, stream.as_bytes());
    head(out, b'$', id.text_bytes());
    id.write(out);
    out.extend_from_slice(b"\r\n");
    match fields {
        Fields::Written { event, previous, .. } => {
            word(out, EVENT_FIELD.as_bytes());
            head(out, b'$', event.structured_bytes(*previous));
            event.write_structured(*previous, out);
            out.extend_from_slice(b"\r\n");
        }
        Fields::Each { fields, .. } => {
            for (name, value) in fields {
                word(out, name.as_bytes());
                word(out, value);
            }
        }
    }
}

fn head(out: &mut Vec<u8>, kind: u8, number: usize) {
    out.push(kind);
    write_number(number as u64, out);
    out.extend_from_slice(b"\r\n");
}

fn word(out: &mut Vec<u8>, bytes: &[u8]) {
    head(out, b'$', bytes.len());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}
