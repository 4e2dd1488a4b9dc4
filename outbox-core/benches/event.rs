//! What runs for every event between the log and its stream, without a server: `cargo bench -p outbox-core`.
//!
//! Each piece is timed by criterion over 500 events, as many as a share has, and its allocations per event are counted and printed
//! before. The commands are built as the publisher builds them; `by hand` shows what the same bytes cost when they are written
//! into one buffer that is kept.

use std::hint::black_box;
use std::io::Write as _;

use criterion::{BatchSize, Criterion, Throughput};
use outbox_core::event::envelope::{Page, Written, binary_fields, decode_structured, write_structured};
use outbox_core::event::{Data, EntryId, Event};
use outbox_core::tail::{StreamId, partition_of};

const EVENTS: usize = 500;
const STREAM: &str = "outbox:orders.placed";

/// As the benchmark of a backlog has them: a payload of 200 bytes, and what the relay adds.
fn events() -> Vec<Event> {
    (0..EVENTS)
        .map(|number| {
            let id = format!("01a202c7-663b-7188-a5a0-{number:012x}");
            let mut event = Event::new(id, "/bench", "orders.placed");
            event.key = Some(format!("key-{}", number % 1_000));
            event.recorded_at = time::OffsetDateTime::from_unix_timestamp(1_795_000_000 + number as i64).ok();
            event.data_content_type = Some("application/json".to_owned());
            let payload = format!(r#"{{"number" : {number}, "filling" : "{}"}}"#, "x".repeat(170));
            event.data = serde_json::value::RawValue::from_string(payload)
                .ok()
                .map(Data::Json);
            event
        })
        .collect()
}

fn id(number: usize) -> EntryId {
    EntryId {
        batch_id: 1_795_000_000_000,
        position: 1 + number as u64,
    }
}

/// The event in structured mode, with its predecessor, behind what is there already.
fn envelope(event: &Event, number: usize, out: &mut Vec<u8>) {
    let mut view = event.view();
    view.previous_id = Some(id(number.saturating_sub(1)));
    write_structured(&view, out);
}

/// As the publisher does with a backlog: written when they are read, page after page, what precedes each said later.
fn pages(events: &[Event]) -> Vec<Written> {
    let mut page = Page::default();
    let mut written = Vec::with_capacity(events.len());
    for event in events {
        page.write(&event.view());
        if page.is_full() {
            written.extend(page.take());
        }
    }
    written.extend(page.take());
    written
}

/// The same bytes as by hand, of events that were written before.
fn from_pages(events: &[Written], out: &mut Vec<u8>) {
    out.clear();
    for (number, event) in events.iter().enumerate() {
        event.write_structured(id(number.saturating_sub(1)), out);
    }
}

/// As the publisher does with what was just appended: a buffer per event.
fn envelopes(events: &[Event]) -> Vec<Vec<u8>> {
    let each = events.iter().enumerate().map(|(number, event)| {
        let mut json = Vec::with_capacity(200 + 256);
        envelope(event, number, &mut json);
        json
    });
    each.collect()
}

/// As the publisher does: commands of the driver, whose bytes are packed when they are sent.
fn commands(entries: Vec<Vec<u8>>) -> Vec<u8> {
    let mut pipeline = redis::Pipeline::with_capacity(entries.len() + 2);
    pipeline.cmd("MULTI");
    for (number, entry) in entries.into_iter().enumerate() {
        let command = pipeline.cmd("XADD").arg(STREAM).arg(id(number).to_string());
        command.arg("event".to_owned()).arg(entry);
    }
    pipeline.cmd("EXEC");
    pipeline.get_packed_pipeline()
}

/// The same bytes, written into one buffer.
fn by_hand(events: &[Event], json: &mut Vec<u8>, out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(b"*1\r\n$5\r\nMULTI\r\n");
    for (number, event) in events.iter().enumerate() {
        json.clear();
        envelope(event, number, json);
        let id = id(number).to_string();
        out.extend_from_slice(b"*5\r\n$4\r\nXADD\r\n");
        for word in [STREAM.as_bytes(), id.as_bytes(), b"event", json] {
            // Writing to a Vec does not fail.
            let _ = write!(out, "${}\r\n", word.len());
            out.extend_from_slice(word);
            out.extend_from_slice(b"\r\n");
        }
    }
    out.extend_from_slice(b"*1\r\n$4\r\nEXEC\r\n");
}

/// Prints how many allocations, and bytes of them, `work` makes for each event.
fn count<T>(name: &str, work: impl FnOnce() -> T) {
    let counted = allocation_counter::measure(|| drop(black_box(work())));
    let each = |number: u64| number as f64 / EVENTS as f64;
    println!(
        "{name}: {:.2} allocations and {:.0} bytes per event",
        each(counted.count_total),
        each(counted.bytes_total)
    );
}

fn allocations(events: &[Event]) {
    let entries = envelopes(events);
    count("structured, a buffer each", || envelopes(events));
    let mut out = Vec::with_capacity(1 << 20);
    count("structured, one buffer", || structured_in_one(events, &mut out));
    count("written ahead, on pages", || pages(events));
    let written = pages(events);
    count("structured, from pages", || from_pages(&written, &mut out));
    count("binary", || binaries(events));
    count("read again", || read_again(&entries));
    count("partition of 8", || partitions(events));
    count("stream of 8", || streams(events));
    let given = entries.clone();
    count("commands of the driver", || commands(given));
    let mut json = Vec::with_capacity(4096);
    count("commands by hand, with the envelope", || {
        by_hand(events, &mut json, &mut out)
    });
}

fn structured_in_one(events: &[Event], out: &mut Vec<u8>) -> usize {
    out.clear();
    for (number, event) in events.iter().enumerate() {
        envelope(event, number, out);
    }
    out.len()
}

fn binaries(events: &[Event]) -> usize {
    events
        .iter()
        .map(|event| binary_fields(&event.view()).len())
        .sum()
}

fn read_again(entries: &[Vec<u8>]) -> usize {
    entries
        .iter()
        .filter(|entry| decode_structured(entry).is_ok())
        .count()
}

fn partitions(events: &[Event]) -> u32 {
    let of = |event: &Event| u32::from(partition_of(event.key.as_deref().unwrap_or_default(), 8));
    events.iter().map(of).sum()
}

fn streams(events: &[Event]) -> usize {
    let of = |event: &Event| {
        StreamId::of("orders.placed".to_owned(), event, 8)
            .partition
            .is_some()
    };
    events.iter().filter(|event| of(event)).count()
}

fn times(criterion: &mut Criterion, events: &[Event]) {
    let entries = envelopes(events);
    let mut group = criterion.benchmark_group("500 events");
    group.throughput(Throughput::Elements(EVENTS as u64));
    group.bench_function("structured, a buffer each", |b| {
        b.iter(|| envelopes(black_box(events)))
    });
    let mut out = Vec::with_capacity(1 << 20);
    group.bench_function("structured, one buffer", |b| {
        b.iter(|| structured_in_one(black_box(events), &mut out));
    });
    group.bench_function("written ahead, on pages", |b| b.iter(|| pages(black_box(events))));
    let written = pages(events);
    group.bench_function("structured, from pages", |b| {
        b.iter(|| from_pages(black_box(&written), &mut out));
    });
    group.bench_function("binary", |b| b.iter(|| binaries(black_box(events))));
    group.bench_function("read again", |b| b.iter(|| read_again(black_box(&entries))));
    group.bench_function("partition of 8", |b| b.iter(|| partitions(black_box(events))));
    group.bench_function("stream of 8", |b| b.iter(|| streams(black_box(events))));
    group.bench_function("commands of the driver", |b| {
        b.iter_batched(|| entries.clone(), commands, BatchSize::LargeInput);
    });
    let mut json = Vec::with_capacity(4096);
    group.bench_function("commands by hand, with the envelope", |b| {
        b.iter(|| by_hand(black_box(events), &mut json, &mut out));
    });
    group.finish();
}

fn main() {
    let events = events();
    // What is compared must be the same.
    let mut out = Vec::new();
    by_hand(&events, &mut Vec::new(), &mut out);
    assert_eq!(commands(envelopes(&events)), out, "the bytes differ");
    assert_eq!(read_again(&envelopes(&events)), EVENTS);
    from_pages(&pages(&events), &mut out);
    assert_eq!(envelopes(&events).concat(), out, "the bytes differ");
    allocations(&events);
    let mut criterion = Criterion::default().configure_from_args();
    times(&mut criterion, &events);
    criterion.final_summary();
}
