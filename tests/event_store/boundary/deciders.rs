//! Deciders on more than one stream: read, decided, appended, and decided again where somebody else was faster.

use outbox_core::event_store::StreamName;
use outbox_core::event_store::boundary::{Condition, Matching, TaggedRead, read_tagged_page};
use outbox_core::event_store::decide::scenario::given;
use outbox_core::event_store::decide::{Context, DecidedWithin, ExecuteError, Repository};
use outbox_core::verdict::Verdict;
use sqlx::PgConnection;
use system_tests::{Failure, Login, Result, World};
use uuid::Uuid;

use super::courses::{Command, CourseEvent, Courses, No, course_tag, student_tag};
use super::locks::somebody_waits;

fn courses() -> Repository<Courses> {
    Repository::new().expect("types and upcasters fit")
}

fn stream(name: &str) -> StreamName {
    StreamName::new("subscription", name).expect("a good name")
}

async fn execute(
    connection: &mut PgConnection,
    name: &str,
    command: Command,
) -> std::result::Result<DecidedWithin<Courses>, ExecuteError<No>> {
    courses()
        .execute_within(connection, &stream(name), &command, &Context::none())
        .await
}

fn is_appended(decided: &DecidedWithin<Courses>) -> bool {
    matches!(decided, DecidedWithin::Appended { .. })
}

#[test]
fn its_rules_are_tested_without_a_database() {
    let [course, student, capacity] = [1, 7, 1];
    given::<Courses>([CourseEvent::Defined {
        course,
        capacity: capacity as usize,
    }])
    .when(Command::Subscribe { course, student })
    .then([CourseEvent::Subscribed { course, student }])
    .when(Command::Subscribe { course, student: 8 })
    .then_refused(No::CourseIsFull);
}

#[tokio::test]
async fn rules_across_streams_hold_and_a_refusal_leaves_the_transaction_usable() -> Result {
    let world = World::new().await?;
    let pool = world.log().pool_of(Login::Service).await?;
    let mut transaction = pool.begin().await?;
    for course in 1..=3 {
        let decided = execute(
            &mut transaction,
            &format!("d{course}"),
            Command::Define { course, capacity: 1 },
        )
        .await?;
        assert!(is_appended(&decided), "{decided:?}");
    }
    let turns = [
        (1, 7, None),
        (1, 7, Some(No::Subscribed)),
        (1, 8, Some(No::CourseIsFull)),
        (2, 7, None),
        (3, 7, Some(No::StudentIsBusy)),
        (4, 9, Some(No::UnknownCourse)),
        (3, 8, None),
    ];
    for (number, (course, student, refusal)) in turns.into_iter().enumerate() {
        let outcome = execute(
            &mut transaction,
            &number.to_string(),
            Command::Subscribe { course, student },
        )
        .await;
        match (outcome, refusal) {
            (Ok(decided), None) if is_appended(&decided) => {}
            (Err(error @ ExecuteError::Refused(_)), Some(_)) => {
                assert_eq!(error.verdict(), Verdict::Park);
                let ExecuteError::Refused(no) = error else {
                    continue;
                };
                assert_eq!(Some(no), refusal);
            }
            (other, _) => return Err(Failure::new(format!("turn {number}: {other:?}"))),
        }
    }
    transaction.commit().await?;
    let mut connection = pool.acquire().await?;
    let both = Condition::of(Matching::tag(student_tag(7)).and_tag(course_tag(2)));
    let page = read_tagged_page(&mut connection, &TaggedRead::of(&both)).await?;
    assert_eq!(page.events.len(), 1);
    assert_eq!(page.events[0].tags, [course_tag(2), student_tag(7)]);
    Ok(())
}

#[tokio::test]
async fn who_is_overtaken_reads_again_and_decides_again() -> Result {
    let world = World::new().await?;
    let (pool, mut watcher) = (world.log().pool_of(Login::Service).await?, world.connect().await?);
    let mut connection = pool.acquire().await?;
    let _ = execute(
        &mut connection,
        "d",
        Command::Define {
            course: 1,
            capacity: 3,
        },
    )
    .await?;
    for (attempts, student) in [(2, 10), (1, 20)] {
        let mut faster = pool.begin().await?;
        let decided = execute(
            &mut faster,
            &format!("f{student}"),
            Command::Subscribe { course: 1, student },
        )
        .await?;
        assert!(is_appended(&decided), "{decided:?}");
        let slower = tokio::spawn({
            let pool = pool.clone();
            async move {
                let mut transaction = pool.begin().await?;
                let command = Command::Subscribe {
                    course: 1,
                    student: student + 1,
                };
                let name = stream(&format!("s{student}"));
                let decided = courses()
                    .attempts(attempts)
                    .execute_within(&mut transaction, &name, &command, &Context::none())
                    .await;
                transaction.commit().await?;
                Ok::<_, Failure>(decided)
            }
        });
        somebody_waits(&mut watcher).await?;
        faster.commit().await?;
        match (attempts, slower.await??) {
            (2, Ok(decided)) if is_appended(&decided) => {}
            (1, Err(error @ ExecuteError::Overtaken(_))) => {
                assert_eq!(error.verdict(), Verdict::Retry);
                assert!(error.to_string().contains("student.subscribed"), "{error}");
            }
            (_, other) => return Err(Failure::new(format!("{attempts} attempts: {other:?}"))),
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_command_with_an_id_is_carried_out_once() -> Result {
    let world = World::new().await?;
    let pool = world.log().pool_of(Login::Service).await?;
    let mut connection = pool.acquire().await?;
    let _ = execute(
        &mut connection,
        "d",
        Command::Define {
            course: 1,
            capacity: 1,
        },
    )
    .await?;
    let context = Context::of_command(Uuid::from_u128(77));
    let command = Command::Subscribe {
        course: 1,
        student: 7,
    };
    let first = courses()
        .execute_within(&mut connection, &stream("once"), &command, &context)
        .await?;
    let DecidedWithin::Appended { positions, .. } = first else {
        return Err(Failure::new(format!("{first:?}")));
    };
    // The course is full by now: decided again it would be refused.
    let second = courses()
        .execute_within(&mut connection, &stream("once"), &command, &context)
        .await?;
    match second {
        DecidedWithin::AlreadyAppended {
            events,
            positions: then,
        } => {
            assert_eq!(
                events,
                [CourseEvent::Subscribed {
                    course: 1,
                    student: 7
                }]
            );
            assert_eq!(then, positions);
        }
        other => return Err(Failure::new(format!("{other:?}"))),
    }
    Ok(())
}
