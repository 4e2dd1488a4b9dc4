//! A domain for the tests whose rules no single stream can keep: a course takes only so many students, and a student only so many courses.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use outbox_core::append::NewEvent;
use outbox_core::event_store::boundary::{Condition, Matching};
use outbox_core::event_store::decide::{BoundedDecider, Decider};
use outbox_core::event_store::typed::{EventType, TypedEvent, encode};
use serde::{Deserialize, Serialize};

/// Courses that a student may take at a time.
pub(crate) const COURSES_OF_A_STUDENT: usize = 2;

pub(crate) struct Courses;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data")]
pub(crate) enum CourseEvent {
    #[serde(rename = "course.defined")]
    Defined { course: u32, capacity: usize },
    #[serde(rename = "course.resized")]
    Resized { course: u32, capacity: usize },
    #[serde(rename = "student.subscribed")]
    Subscribed { course: u32, student: u32 },
    #[serde(rename = "student.left")]
    Left { course: u32, student: u32 },
}

impl TypedEvent for CourseEvent {
    const TYPES: &'static [EventType] = &[
        EventType::new("course.defined", 1),
        EventType::new("course.resized", 1),
        EventType::new("student.subscribed", 1),
        EventType::new("student.left", 1),
    ];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Define { course: u32, capacity: usize },
    Subscribe { course: u32, student: u32 },
    Leave { course: u32, student: u32 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum No {
    Defined,
    UnknownCourse,
    Subscribed,
    NotSubscribed,
    CourseIsFull,
    StudentIsBusy,
}

impl fmt::Display for No {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for No {}

/// What the events of a boundary make: not all there is.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Seen {
    capacities: BTreeMap<u32, usize>,
    taken: BTreeSet<(u32, u32)>,
}

impl Decider for Courses {
    type Command = Command;
    type Event = CourseEvent;
    type State = Seen;
    type Refusal = No;

    fn initial() -> Seen {
        Seen::default()
    }

    fn evolve(mut seen: Seen, event: &CourseEvent) -> Seen {
        match *event {
            CourseEvent::Defined { course, capacity } | CourseEvent::Resized { course, capacity } => {
                seen.capacities.insert(course, capacity);
            }
            CourseEvent::Subscribed { course, student } => {
                seen.taken.insert((course, student));
            }
            CourseEvent::Left { course, student } => {
                seen.taken.remove(&(course, student));
            }
        }
        seen
    }

    fn decide(command: &Command, seen: &Seen) -> Result<Vec<CourseEvent>, No> {
        match *command {
            Command::Define { course, .. } if seen.capacities.contains_key(&course) => Err(No::Defined),
            Command::Define { course, capacity } => Ok(vec![CourseEvent::Defined { course, capacity }]),
            Command::Subscribe { course, student } => {
                let capacity = *seen.capacities.get(&course).ok_or(No::UnknownCourse)?;
                let count = |wanted: &dyn Fn(&(u32, u32)) -> bool| {
                    seen.taken.iter().filter(|taken| wanted(taken)).count()
                };
                if seen.taken.contains(&(course, student)) {
                    Err(No::Subscribed)
                } else if count(&|taken| taken.0 == course) >= capacity {
                    Err(No::CourseIsFull)
                } else if count(&|taken| taken.1 == student) >= COURSES_OF_A_STUDENT {
                    Err(No::StudentIsBusy)
                } else {
                    Ok(vec![CourseEvent::Subscribed { course, student }])
                }
            }
            Command::Leave { course, student } if seen.taken.contains(&(course, student)) => {
                Ok(vec![CourseEvent::Left { course, student }])
            }
            Command::Leave { .. } => Err(No::NotSubscribed),
        }
    }
}

impl BoundedDecider for Courses {
    fn boundary(command: &Command) -> Condition {
        let changes = ["student.subscribed", "student.left"];
        match *command {
            Command::Define { course, .. } => {
                Condition::of(Matching::tag(course_tag(course)).types(["course.defined", "course.resized"]))
            }
            Command::Subscribe { course, student } => Condition::of(Matching::tag(course_tag(course)))
                .or(Matching::tag(student_tag(student)).types(changes)),
            Command::Leave { course, student } => Condition::of(
                Matching::tag(student_tag(student))
                    .and_tag(course_tag(course))
                    .types(changes),
            ),
        }
    }

    fn tags(event: &CourseEvent) -> Vec<String> {
        match *event {
            CourseEvent::Defined { course, .. } | CourseEvent::Resized { course, .. } => {
                vec![course_tag(course)]
            }
            CourseEvent::Subscribed { course, student } | CourseEvent::Left { course, student } => {
                vec![course_tag(course), student_tag(student)]
            }
        }
    }
}

pub(crate) fn course_tag(course: u32) -> String {
    format!("course:{course}")
}

pub(crate) fn student_tag(student: u32) -> String {
    format!("student:{student}")
}

/// An event as it is appended, with its tags.
pub(crate) fn tagged(event: &CourseEvent) -> NewEvent {
    let new = encode(event).expect("it has a JSON form");
    Courses::tags(event).into_iter().fold(new, NewEvent::tag)
}
