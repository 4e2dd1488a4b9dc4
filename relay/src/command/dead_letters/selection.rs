//! Which dead letters are meant, as options.

use clap::{Args, ValueEnum};
use outbox_core::dead_letter::{Filter, Kind, State};
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, OffsetDateTime};

use super::refusal;
use crate::exit::Failure;

/// Options that select: a letter is meant when all of them are true.
#[derive(Args, Clone, Debug)]
pub(super) struct Selection {
    /// Number of a dead letter, or id of an event; repeat it for several
    #[arg(long = "id", value_name = "ID")]
    ids: Vec<String>,
    /// A group of failures, as `dead-letters groups` names it
    #[arg(long, value_name = "FINGERPRINT")]
    group: Option<String>,
    /// Events of this key
    #[arg(long)]
    key: Option<String>,
    /// Letters of this consumer group
    #[arg(long)]
    consumer: Option<String>,
    /// Events of this topic
    #[arg(long)]
    topic: Option<String>,
    /// Events of this type
    #[arg(long = "type", value_name = "TYPE")]
    r#type: Option<String>,
    /// Letters with this class of error
    #[arg(long)]
    class: Option<String>,
    /// Letters given up for this reason
    #[arg(long, value_enum)]
    kind: Option<GivenUp>,
    /// Letters that died before this: 2026-11-20 or 2026-11-20T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = instant)]
    before: Option<OffsetDateTime>,
    /// Letters that died at this time or later
    #[arg(long, value_name = "TIME", value_parser = instant)]
    after: Option<OffsetDateTime>,
}

/// Why a letter was given up.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum GivenUp {
    /// Out of attempts
    Transient,
    /// The handler said that trying again is useless
    Poison,
    /// No event
    Unreadable,
    /// Older than what the inbox remembers: nobody can say whether it had its effect
    #[value(name = "too_old", alias = "too-old")]
    TooOld,
}

/// What became of a letter.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(super) enum Became {
    /// It waits for a person
    #[default]
    Dead,
    /// It was put back and is not applied yet
    Redriving,
    /// It had its effect after all
    Applied,
    /// A person gave it up
    Discarded,
    /// Any of these
    Any,
}

impl GivenUp {
    pub(super) fn kind(self) -> Kind {
        match self {
            Self::Transient => Kind::Transient,
            Self::Poison => Kind::Poison,
            Self::Unreadable => Kind::Unreadable,
            Self::TooOld => Kind::TooOld,
        }
    }
}

impl Became {
    pub(super) fn states(self) -> Vec<State> {
        match self {
            Self::Dead => vec![State::Dead],
            Self::Redriving => vec![State::Redriving],
            Self::Applied => vec![State::Applied],
            Self::Discarded => vec![State::Discarded],
            Self::Any => State::ALL.to_vec(),
        }
    }
}

impl Selection {
    /// As the library takes it. What is all digits is the number of a letter.
    pub(super) fn filter(&self) -> Filter {
        let (numbers, ids): (Vec<_>, Vec<_>) = self
            .ids
            .iter()
            .map(|id| id.parse::<i64>().map_err(|_| id.clone()))
            .partition(Result::is_ok);
        Filter {
            consumer: self.consumer.clone(),
            numbers: numbers.into_iter().flatten().collect(),
            ids: ids.into_iter().filter_map(Result::err).collect(),
            fingerprint: self.group.clone(),
            key: self.key.clone(),
            topic: self.topic.clone(),
            stream: None,
            r#type: self.r#type.clone(),
            error_class: self.class.clone(),
            error_kind: self.kind.map(GivenUp::kind),
            dead_before: self.before,
            dead_after: self.after,
        }
    }

    /// The same for what changes letters: everything only when said.
    pub(super) fn deliberate(&self, all: bool, verb: &str) -> Result<Filter, Failure> {
        let filter = self.filter();
        if filter.takes_everything() && !all {
            return Err(refusal::everything(&filter, verb));
        }
        Ok(filter)
    }
}

/// A day, or a moment with its offset.
fn instant(text: &str) -> Result<OffsetDateTime, String> {
    let day = || {
        Date::parse(text, format_description!("[year]-[month]-[day]")).map(|day| day.midnight().assume_utc())
    };
    OffsetDateTime::parse(text, &Rfc3339)
        .or_else(|_| day())
        .map_err(|_| "a time is written as 2026-11-20 or 2026-11-20T12:00:00Z".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use time::macros::datetime;

    use super::*;
    use crate::exit::Exit;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        selection: Selection,
    }

    fn filter(line: &[&str]) -> Filter {
        let line = [&["x"], line].concat();
        Line::parse_from(line).selection.filter()
    }

    #[test]
    fn an_id_of_digits_is_the_number_of_a_letter_and_any_other_the_id_of_an_event() {
        let filter = filter(&[
            "--id",
            "7",
            "--id",
            "0190a8c1-7f3e-7cc0-8a5b-0a1b2c3d4e5f",
            "--id",
            "8",
        ]);
        assert_eq!(filter.numbers, [7, 8]);
        assert_eq!(filter.ids, ["0190a8c1-7f3e-7cc0-8a5b-0a1b2c3d4e5f"]);
    }

    #[test]
    fn every_option_narrows() {
        let filter = filter(&[
            "--group",
            "g",
            "--key",
            "k",
            "--consumer",
            "c",
            "--topic",
            "t",
            "--type",
            "y",
            "--class",
            "e",
            "--kind",
            "too_old",
            "--before",
            "2026-11-21",
            "--after",
            "2026-11-20T12:00:00+01:00",
        ]);
        let expected = Filter {
            fingerprint: Some("g".to_owned()),
            key: Some("k".to_owned()),
            consumer: Some("c".to_owned()),
            topic: Some("t".to_owned()),
            r#type: Some("y".to_owned()),
            error_class: Some("e".to_owned()),
            error_kind: Some(Kind::TooOld),
            dead_before: Some(datetime!(2026-11-21 00:00 UTC)),
            dead_after: Some(datetime!(2026-11-20 11:00 UTC)),
            ..Filter::default()
        };
        assert_eq!(filter, expected);
    }

    #[test]
    fn a_time_that_is_none_is_refused_with_an_example() {
        let refused = instant("yesterday").expect_err("no time");
        assert!(refused.contains("2026-11-20T12:00:00Z"), "{refused}");
    }

    #[test]
    fn everything_must_be_said() {
        let selection = Line::parse_from(["x", "--consumer", "stock"]).selection;
        let refused = selection
            .deliberate(false, "redrive")
            .expect_err("it takes everything");
        assert_eq!(refused.exit, Exit::Refused);
        assert!(refused.message.contains("of consumer stock") && refused.message.contains("--all"));
        assert!(selection.deliberate(true, "redrive").is_ok());
    }
}
