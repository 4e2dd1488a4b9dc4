//! Dead letters for the eye. Pure.

use std::fmt::Write as _;

use outbox_core::dead_letter::{Group, Letter, Summary};
use outbox_core::event::envelope;
use time::OffsetDateTime;
use time::macros::format_description;

use crate::output::table;

/// A time without fractions, in UTC.
pub(in crate::command) fn moment(at: OffsetDateTime) -> String {
    let form = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]Z");
    at.to_offset(time::UtcOffset::UTC)
        .format(form)
        .unwrap_or_default()
}

/// `1 letter`, `2 letters`.
pub(in crate::command) fn count(number: i64, thing: &str) -> String {
    let end = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{end}")
}

/// A word of the database for a value of an enumeration.
fn word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}

pub(super) fn groups(groups: &[Group]) -> String {
    if groups.is_empty() {
        return "no dead letters\n".to_owned();
    }
    let rows: Vec<Vec<String>> = groups
        .iter()
        .map(|group| {
            vec![
                group.fingerprint.clone(),
                group.consumer.clone(),
                group.r#type.clone().unwrap_or_default(),
                group.error_class.clone(),
                word(&group.error_kind),
                group.letters.to_string(),
                group.keys.to_string(),
                group.waiting_events.to_string(),
                moment(group.last_dead_at),
                group.first_number.to_string(),
            ]
        })
        .collect();
    table(
        &[
            "GROUP",
            "CONSUMER",
            "TYPE",
            "CLASS",
            "KIND",
            "LETTERS",
            "KEYS",
            "WAITING",
            "LAST",
            "FOR EXAMPLE",
        ],
        &rows,
    )
}

pub(super) fn list(letters: &[Summary]) -> String {
    if letters.is_empty() {
        return "no dead letters\n".to_owned();
    }
    let rows: Vec<Vec<String>> = letters
        .iter()
        .map(|letter| {
            vec![
                letter.number.to_string(),
                letter.consumer.clone(),
                letter.r#type.clone().unwrap_or_default(),
                letter.key.clone().unwrap_or_default(),
                letter.error_class.clone(),
                letter.attempts.to_string(),
                moment(letter.dead_at),
                word(&letter.state),
                letter.waiting_events.to_string(),
                letter.fingerprint.clone(),
                letter.id.clone().unwrap_or_default(),
            ]
        })
        .collect();
    table(
        &[
            "NUMBER", "CONSUMER", "TYPE", "KEY", "CLASS", "ATTEMPTS", "DEAD", "STATE", "WAITING", "GROUP",
            "EVENT",
        ],
        &rows,
    )
}

/// Everything of a letter.
pub(super) fn letter(letter: &Letter) -> String {
    let Letter {
        summary,
        error,
        history,
        ..
    } = letter;
    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let mut page = format!(
        "dead letter {} of consumer {}\n",
        summary.number, summary.consumer
    );
    let waits = match (summary.holds_key, summary.waiting_events) {
        (true, waiting) => format!("its key waits for it, with {}", count(waiting, "later event")),
        (false, _) => "nothing waits for it".to_owned(),
    };
    let edited = match (&summary.edited_at, &summary.edited_by) {
        (Some(at), Some(by)) => format!("{} by {by}", moment(*at)),
        _ => "no".to_owned(),
    };
    let rows = [
        ("state", word(&summary.state)),
        (
            "event",
            format!("{} of source {}", text(&summary.id), text(&summary.source)),
        ),
        ("type", text(&summary.r#type)),
        ("key", text(&summary.key)),
        ("topic", summary.topic.clone()),
        ("entry", format!("{} on {}", summary.entry_id, summary.stream)),
        (
            "recorded",
            summary.recorded_at.map_or_else(|| "-".to_owned(), moment),
        ),
        (
            "died",
            format!(
                "{} after {}",
                moment(summary.dead_at),
                count(summary.attempts.into(), "attempt")
            ),
        ),
        ("group", summary.fingerprint.clone()),
        ("kind", word(&summary.error_kind)),
        ("waits", waits),
        ("put back", count(summary.redrives.into(), "time")),
        ("edited", edited),
        ("error", format!("{}: {error}", summary.error_class)),
    ];
    for (name, value) in rows {
        let _ = writeln!(page, "  {name:9} {value}");
    }
    if !history.is_empty() {
        page.push_str("\nATTEMPTS\n");
        let rows: Vec<Vec<String>> = history
            .iter()
            .map(|attempt| {
                let seconds = attempt
                    .seconds
                    .map_or_else(String::new, |seconds| format!("{seconds:.3}"));
                vec![
                    attempt.number.to_string(),
                    moment(attempt.failed_at),
                    seconds,
                    attempt.class.clone(),
                    attempt.error.clone(),
                ]
            })
            .collect();
        page.push_str(&table(&["NUMBER", "FAILED", "TOOK_S", "CLASS", "ERROR"], &rows));
    }
    page.push_str(&entry(letter));
    page
}

/// The event as it came and as it was edited, or what came instead of one.
fn entry(letter: &Letter) -> String {
    let shown = |event: &outbox_core::event::Event| {
        String::from_utf8_lossy(&envelope::structured(event)).into_owned()
    };
    let mut text = match letter.event() {
        Ok(event) => format!("\nEVENT\n{}\n", shown(&event)),
        Err(error) => {
            let bytes: usize = letter.fields.iter().map(|(_, value)| value.len()).sum();
            format!(
                "\nNO EVENT: {error}\n{} of {bytes} bytes; outbox-relay dead-letters export --id {} writes them\n",
                count(i64::try_from(letter.fields.len()).unwrap_or(i64::MAX), "field"),
                letter.summary.number
            )
        }
    };
    if let Some(edited) = letter.edited_event() {
        match edited {
            Ok(event) => {
                let _ = writeln!(text, "\nEDITED\n{}", shown(&event));
            }
            Err(error) => {
                let _ = writeln!(text, "\nEDITED, BUT NO EVENT: {error}");
            }
        }
    }
    text
}
