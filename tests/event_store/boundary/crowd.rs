//! Sixteen writers, each deciding on what it read: what came of it against one thread that is asked the same.

use outbox_core::event_store::boundary::{Conditional, append_if};
use outbox_core::event_store::decide::{BoundedDecider as _, Decider as _, Repository};
use outbox_core::event_store::{self, Expected, Outcome, PageLimits, StreamName};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use sqlx::{Connection as _, PgConnection};
use system_tests::{Failure, Result, World};
use tokio::task::JoinSet;

use super::courses::{Command, CourseEvent, Courses, tagged};
use super::judge::{Attempt, Fate, judge};

const WRITERS: u64 = 16;
const COURSES: u32 = 8;
const STUDENTS: u32 = 16;
const TURNS: u32 = 60;

struct Writer {
    number: u64,
    connection: PgConnection,
    random: StdRng,
    courses: Repository<Courses>,
    attempts: Vec<Attempt>,
}

impl Writer {
    async fn run(mut self) -> Result<Vec<Attempt>> {
        for turn in 0..TURNS {
            if self.random.random_bool(0.1) {
                self.resize(turn).await?;
                continue;
            }
            let (course, student) = (
                self.random.random_range(0..COURSES),
                self.random.random_range(0..STUDENTS),
            );
            let command = match self.random.random_range(0..10) {
                0 => Command::Define {
                    course,
                    capacity: self.random.random_range(2..7),
                },
                1..=3 => Command::Leave { course, student },
                _ => Command::Subscribe { course, student },
            };
            self.decide(command, turn).await?;
        }
        Ok(self.attempts)
    }

    /// Read, decided, appended: in one transaction, or with the read before it.
    async fn decide(&mut self, command: Command, turn: u32) -> Result {
        let boundary = Courses::boundary(&command);
        let reads_before = self.random.random_bool(0.5);
        let gives_up = self.random.random_bool(0.1);
        let early = match reads_before {
            true => Some(self.courses.load_within(&mut self.connection, &boundary).await?),
            false => None,
        };
        let mut transaction = self.connection.begin().await?;
        let (state, cursor) = match early {
            Some(read) => read,
            None => self.courses.load_within(&mut transaction, &boundary).await?,
        };
        let fate = match Courses::decide(&command, &state) {
            Err(no) => Fate::Refused(no),
            Ok(events) => {
                let stream = StreamName::new("turn", format!("{}-{turn}", self.number))?;
                let events = events.iter().map(tagged).collect();
                let outcome = append_if(
                    &mut transaction,
                    &boundary,
                    &cursor,
                    &stream,
                    Expected::Any,
                    events,
                )
                .await?;
                match outcome {
                    Conditional::Unmet(unseen) => Fate::Unmet(unseen),
                    Conditional::Appended(_) if gives_up => Fate::RolledBack,
                    Conditional::Appended(appended) => Fate::Committed(appended[0].positions[0]),
                    other => return Err(Failure::new(format!("{other:?}"))),
                }
            }
        };
        match fate {
            Fate::RolledBack => transaction.rollback().await?,
            _ => transaction.commit().await?,
        }
        self.attempts.push(Attempt {
            command,
            cursor,
            fate,
        });
        Ok(())
    }

    /// Appended without a condition: nobody asked it anything, and whoever decides on it must have seen it.
    async fn resize(&mut self, turn: u32) -> Result {
        let resized = CourseEvent::Resized {
            course: self.random.random_range(0..COURSES),
            capacity: self.random.random_range(2..7),
        };
        let stream = StreamName::new("turn", format!("{}-{turn}", self.number))?;
        let mut transaction = self.connection.begin().await?;
        let outcome = event_store::append(
            &mut transaction,
            &stream,
            Expected::NoStream,
            vec![tagged(&resized)],
        )
        .await?;
        assert!(matches!(outcome, Outcome::Appended { .. }), "{outcome:?}");
        Ok(transaction.commit().await?)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixteen_writers_decide_as_one_thread_would() -> Result {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let world = World::new().await?;
    let mut writers = JoinSet::new();
    for number in 0..WRITERS {
        let courses = Repository::<Courses>::new()
            .expect("types and upcasters fit")
            .page(PageLimits {
                events_max: 7,
                bytes_max: 1 << 20,
            });
        let writer = Writer {
            number,
            connection: world.connect().await?,
            random: StdRng::seed_from_u64(seed ^ number),
            courses,
            attempts: Vec::new(),
        };
        writers.spawn(writer.run());
    }
    let mut attempts = Vec::new();
    while let Some(done) = writers.join_next().await {
        attempts.extend(done??);
    }
    let counts = judge(&mut world.connect().await?, &attempts).await?;
    println!("{counts:?}");
    assert!(counts.committed > 50 && counts.refused > 50, "{counts:?}");
    assert!(counts.unmet > 10 && counts.rolled_back > 0, "{counts:?}");
    Ok(())
}
