//! What would happen, in sentences. Pure.

use std::fmt::Write as _;

use outbox_core::dead_letter::{DiscardPreview, Preview};

use super::page::{count, moment};

/// What a redrive would do.
pub(super) fn redrive(previews: &[Preview], rate: Option<f64>) -> String {
    previews
        .iter()
        .map(|preview| of_consumer(preview, rate))
        .collect()
}

fn of_consumer(preview: &Preview, rate: Option<f64>) -> String {
    let mut page = format!("consumer {}\n", preview.consumer);
    let mut say = |sentence: String| {
        let _ = writeln!(page, "  {sentence}");
    };
    let span = match (preview.first_dead_at, preview.last_dead_at) {
        (Some(first), Some(last)) => format!(", dead since {} to {}", moment(first), moment(last)),
        _ => String::new(),
    };
    say(format!(
        "{} would go back{span}",
        count(preview.letters, "letter")
    ));
    if preview.keys > 0 {
        say(format!("of {}: {}", count(preview.keys, "key"), keys(preview)));
    }
    if preview.followers > 0 {
        say(format!(
            "{} of these keys would go along behind them, in order, before anything newer",
            count(preview.followers, "parked event")
        ));
    }
    if let Some(rate) = rate.filter(|rate| *rate > 0.0) {
        let seconds = preview.letters as f64 / rate;
        say(format!("{rate} per second: about {seconds:.0} s"));
    }
    for (number, what) in warnings(preview) {
        if number > 0 {
            say(format!("note: {} {what}", count(number, "letter")));
        }
    }
    if preview.keys_gone_on > 0 {
        say(format!(
            "note: {} went on without the dead letter: newer events may have been applied already, and these come after them",
            count(preview.keys_gone_on, "key")
        ));
    }
    if preview.is_paused {
        say("note: the consumer is paused; it begins when that ends".to_owned());
    } else if preview.members == 0 {
        say("note: no member of the consumer runs now; it begins when one does".to_owned());
    }
    page
}

fn keys(preview: &Preview) -> String {
    let mut shown = preview.some_keys.join(", ");
    if preview.keys > i64::try_from(preview.some_keys.len()).unwrap_or(i64::MAX) {
        shown.push_str(", …");
    }
    shown
}

fn warnings(preview: &Preview) -> [(i64, &'static str); 7] {
    [
        (
            preview.behind_others,
            "would only take a place in line: another dead letter of the key is not selected, and the key waits for it",
        ),
        (
            preview.older_than_inbox,
            "from before what the inbox remembers: their letters alone say that they had no effect",
        ),
        (preview.edited, "with edited data"),
        (preview.redriven_before, "put back before and died again"),
        (
            preview.left_unreadable,
            "left out: no event, so no handler can take it (discard it when you have looked at it)",
        ),
        (
            preview.left_too_old,
            "left out: nobody can say whether the effect is there already (--kind too_old takes it)",
        ),
        (
            preview.left_going,
            "left out: an operation under way will put it back",
        ),
    ]
}

/// What discarding would do.
pub(super) fn discard(previews: &[DiscardPreview]) -> String {
    let mut page = String::new();
    for preview in previews {
        let _ = writeln!(
            page,
            "consumer {}\n  {} of {} would never be applied, dead since {} to {}",
            preview.consumer,
            count(preview.letters, "letter"),
            count(preview.keys, "key"),
            moment(preview.first_dead_at),
            moment(preview.last_dead_at),
        );
        if preview.followers > 0 {
            let _ = writeln!(
                page,
                "  {} that wait behind them would be applied without them",
                count(preview.followers, "parked event")
            );
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preview() -> Preview {
        Preview {
            consumer: "stock".to_owned(),
            letters: 12,
            keys: 11,
            some_keys: (1..=10).map(|n| n.to_string()).collect(),
            followers: 0,
            behind_others: 0,
            keys_gone_on: 0,
            older_than_inbox: 0,
            edited: 0,
            redriven_before: 0,
            first_dead_at: None,
            last_dead_at: None,
            left_unreadable: 0,
            left_too_old: 0,
            left_going: 0,
            members: 1,
            is_paused: false,
        }
    }

    #[test]
    fn what_is_not_so_is_not_said() {
        let page = redrive(&[preview()], None);
        assert_eq!(
            page,
            "consumer stock\n  12 letters would go back\n  of 11 keys: 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, …\n"
        );
    }

    #[test]
    fn what_may_surprise_is_said() {
        let page = redrive(
            &[Preview {
                followers: 1,
                behind_others: 2,
                keys_gone_on: 3,
                older_than_inbox: 4,
                left_unreadable: 5,
                left_too_old: 6,
                members: 0,
                ..preview()
            }],
            Some(4.0),
        );
        for part in [
            "1 parked event of these keys would go along",
            "4 per second: about 3 s",
            "2 letters would only take a place in line",
            "3 keys went on without the dead letter",
            "4 letters from before what the inbox remembers",
            "5 letters left out: no event",
            "6 letters left out: nobody can say",
            "no member of the consumer runs now",
        ] {
            assert!(page.contains(part), "{part} in\n{page}");
        }
    }
}
