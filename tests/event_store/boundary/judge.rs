//! One thread with everything in it, that is asked what the writers decided, in the order of what is stored.

use std::collections::{BTreeMap, BTreeSet};

use outbox_core::event_store::Cursor;
use outbox_core::event_store::boundary::Unseen;
use sqlx::{PgConnection, Row as _};
use system_tests::{Failure, Result};

use super::courses::{COURSES_OF_A_STUDENT, Command, CourseEvent, No, course_tag, student_tag};

/// What one turn of a writer came to.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    pub(crate) command: Command,
    /// Of the read that was decided on.
    pub(crate) cursor: Cursor,
    pub(crate) fate: Fate,
}

#[derive(Clone, Debug)]
pub(crate) enum Fate {
    /// The first position of what was appended.
    Committed(i64),
    RolledBack,
    Unmet(Unseen),
    Refused(No),
}

/// How often what happened.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) committed: usize,
    pub(crate) rolled_back: usize,
    pub(crate) unmet: usize,
    pub(crate) refused: usize,
    /// Events that came behind one that had committed before them, seen by some cursor in between.
    pub(crate) late: usize,
}

struct Stored {
    position: i64,
    transaction: u64,
    tags: Vec<String>,
    event: CourseEvent,
}

/// Everything there is, in the order of positions.
#[derive(Default)]
struct Town {
    capacities: BTreeMap<u32, usize>,
    members: BTreeMap<u32, BTreeSet<u32>>,
}

impl Town {
    fn of<'e>(events: impl Iterator<Item = &'e CourseEvent>) -> Self {
        let mut town = Self::default();
        for event in events {
            town.take(event);
        }
        town
    }

    fn take(&mut self, event: &CourseEvent) {
        match *event {
            CourseEvent::Defined { course, capacity } | CourseEvent::Resized { course, capacity } => {
                self.capacities.insert(course, capacity);
            }
            CourseEvent::Subscribed { course, student } => {
                self.members.entry(course).or_default().insert(student);
            }
            CourseEvent::Left { course, student } => {
                self.members.entry(course).or_default().remove(&student);
            }
        }
    }

    fn is_in(&self, course: u32, student: u32) -> bool {
        self.members
            .get(&course)
            .is_some_and(|members| members.contains(&student))
    }

    fn answer(&self, command: Command) -> std::result::Result<CourseEvent, No> {
        match command {
            Command::Define { course, .. } if self.capacities.contains_key(&course) => Err(No::Defined),
            Command::Define { course, capacity } => Ok(CourseEvent::Defined { course, capacity }),
            Command::Leave { course, student } if self.is_in(course, student) => {
                Ok(CourseEvent::Left { course, student })
            }
            Command::Leave { .. } => Err(No::NotSubscribed),
            Command::Subscribe { course, student } => {
                let Some(capacity) = self.capacities.get(&course) else {
                    return Err(No::UnknownCourse);
                };
                if self.is_in(course, student) {
                    return Err(No::Subscribed);
                }
                if self.members.get(&course).map_or(0, BTreeSet::len) >= *capacity {
                    return Err(No::CourseIsFull);
                }
                let taken = self.members.values().filter(|members| members.contains(&student));
                if taken.count() >= COURSES_OF_A_STUDENT {
                    return Err(No::StudentIsBusy);
                }
                Ok(CourseEvent::Subscribed { course, student })
            }
        }
    }
}

/// Whether an event is of the boundary of a command: said a second time, without the library.
fn concerns(command: Command, stored: &Stored) -> bool {
    let has = |tag: String| stored.tags.contains(&tag);
    let moves = matches!(
        stored.event,
        CourseEvent::Subscribed { .. } | CourseEvent::Left { .. }
    );
    match command {
        Command::Define { course, .. } => has(course_tag(course)) && !moves,
        Command::Subscribe { course, student } => {
            has(course_tag(course)) || has(student_tag(student)) && moves
        }
        Command::Leave { course, student } => has(course_tag(course)) && has(student_tag(student)) && moves,
    }
}

/// Whether what the writers saw is what one thread would have answered: what was appended, at its place in the order of positions; what
/// was refused, on what its read could see; and each broken condition by an event that its read could not see.
pub(crate) async fn judge(connection: &mut PgConnection, attempts: &[Attempt]) -> Result<Counts> {
    let stored = everything(connection).await?;
    let mut counts = Counts::default();
    let mut committed: BTreeMap<i64, Command> = BTreeMap::new();
    for attempt in attempts {
        let seen = attempt.cursor.snapshot()?;
        let was_seen = |stored: &&Stored| seen.snapshot.sees(stored.transaction);
        match &attempt.fate {
            Fate::RolledBack => counts.rolled_back += 1,
            Fate::Committed(position) => {
                counts.committed += 1;
                committed.insert(*position, attempt.command);
            }
            Fate::Refused(no) => {
                counts.refused += 1;
                let town = Town::of(stored.iter().filter(was_seen).map(|stored| &stored.event));
                if town.answer(attempt.command) != Err(*no) {
                    return Err(Failure::new(format!("refused for another reason: {attempt:?}")));
                }
            }
            Fate::Unmet(unseen) => {
                counts.unmet += 1;
                let newest_seen = stored
                    .iter()
                    .rev()
                    .find(was_seen)
                    .map_or(0, |newest| newest.position);
                counts.late += usize::from(unseen.position < newest_seen);
                let breaking = stored.iter().find(|stored| stored.position == unseen.position);
                if !breaking.is_some_and(|stored| !was_seen(&stored) && concerns(attempt.command, stored)) {
                    return Err(Failure::new(format!("broken by nothing: {attempt:?}")));
                }
            }
        }
    }
    let mut town = Town::default();
    for stored in &stored {
        if let Some(command) = committed.remove(&stored.position) {
            let answer = town.answer(command);
            if answer.as_ref() != Ok(&stored.event) {
                return Err(Failure::new(format!(
                    "at position {} one thread answers {answer:?} to {command:?}, and {:?} was appended",
                    stored.position, stored.event
                )));
            }
        }
        town.take(&stored.event);
    }
    match committed.first_key_value() {
        None => Ok(counts),
        Some(lost) => Err(Failure::new(format!("committed, and not stored: {lost:?}"))),
    }
}

async fn everything(connection: &mut PgConnection) -> Result<Vec<Stored>> {
    let rows = sqlx::query(
        "select position, transaction_id::text, tags, json_build_object('type', type, 'data', data::json)::text as event
         from outbox.stored_event order by position",
    )
    .fetch_all(connection)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Stored {
                position: row.try_get("position")?,
                transaction: row.try_get::<String, _>("transaction_id")?.parse()?,
                tags: row.try_get("tags")?,
                event: serde_json::from_str(&row.try_get::<String, _>("event")?)?,
            })
        })
        .collect()
}
