//! Forgetting a person: what is stored of them is sealed, and nobody can read it once their key is destroyed.

use std::time::Duration;

use outbox_core::append::NewEvent;
use outbox_core::event::envelope::decode_entry;
use outbox_core::event::{Data, Event};
use outbox_core::event_store::decide::{Context, Decided, Decider, Repository, Snapshots};
use outbox_core::event_store::forget::{
    Keyring, MasterKey, Opened, forget_subject, master_keys, retire_master_key, rewrap_keys,
};
use outbox_core::event_store::typed::{EventType, Fault, TypedEvent};
use outbox_core::event_store::{self, Error, Expected, Outcome, StoredEvent, StreamName, StreamRead};
use serde::{Deserialize, Serialize};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use system_tests::patience::until;
use system_tests::stream::entries;
use system_tests::{Failure, Login, Relay, Result, World};
use uuid::Uuid;

use crate::deciders::somebody_waits;

const LIMIT: Duration = Duration::from_secs(60);
const REASON: &str = "asked for by letter";

fn keyring() -> Keyring {
    Keyring::new("2026", MasterKey::new([7; 32]))
}

fn customer(id: u32) -> StreamName {
    StreamName::new("customer", id).expect("a good name")
}

fn named(name: &str) -> NewEvent {
    NewEvent::stored("customer.named").json(&serde_json::json!({ "name": name }))
}

async fn append_sealed(
    connection: &mut PgConnection,
    stream: &StreamName,
    subject: &str,
    event: NewEvent,
) -> Result {
    let sealed = keyring().seal(connection, stream, subject, event).await?;
    let outcome = event_store::append(connection, stream, Expected::Any, vec![sealed]).await?;
    assert!(matches!(outcome, Outcome::Appended { .. }), "{outcome:?}");
    Ok(())
}

async fn stored(connection: &mut PgConnection, stream: &StreamName) -> Result<Vec<StoredEvent>> {
    Ok(event_store::read_page(connection, &StreamRead::of(stream)).await?)
}

async fn opened(connection: &mut PgConnection, stream: &StreamName) -> Result<Vec<Opened>> {
    let page = stored(connection, stream).await?;
    Ok(keyring().open(connection, page).await?)
}

fn data(opened: &Opened) -> Option<&[u8]> {
    opened.stored().event.data.as_ref().map(Data::as_bytes)
}

fn sealed_error<T: std::fmt::Debug>(outcome: std::result::Result<T, Error>) -> Result<String> {
    match outcome {
        Err(error @ Error::Sealed { .. }) => Ok(error.to_string()),
        other => Err(Failure::new(format!("opened: {other:?}"))),
    }
}

#[tokio::test]
async fn what_is_sealed_comes_back_byte_for_byte_and_the_database_knows_nothing_of_it() -> Result {
    let world = World::new().await?;
    let pool = world.log().pool_of(Login::Service).await?;
    let mut connection = pool.acquire().await?;
    let stream = customer(1);
    let json = r#"{ "name": "Ada", "balance": 1.10 }"#;
    for event in [
        NewEvent::stored("customer.named").json_text(json),
        NewEvent::stored("customer.pictured").binary(b"Ada's face".to_vec(), "image/png"),
        NewEvent::stored("customer.waved"),
    ] {
        append_sealed(&mut connection, &stream, "customer-1", event).await?;
    }
    let plain = vec![NewEvent::stored("customer.counted").json(&1)];
    let outcome = event_store::append(&mut connection, &stream, Expected::Any, plain).await?;
    assert!(matches!(outcome, Outcome::Appended { .. }));

    let kept = stored(&mut connection, &stream).await?;
    for event in &kept[..3] {
        let bytes = event.event.data.as_ref().map(Data::as_bytes).unwrap_or_default();
        assert!(!bytes.windows(3).any(|window| window == b"Ada"), "in the clear");
        assert_eq!(
            event.event.data_content_type.as_deref(),
            Some("application/vnd.outbox.sealed")
        );
    }
    let read = opened(&mut connection, &stream).await?;
    let expected = [
        Some(json.as_bytes()),
        Some(&b"Ada's face"[..]),
        None,
        Some(&b"1"[..]),
    ];
    assert_eq!(read.iter().map(data).collect::<Vec<_>>(), expected);
    assert_eq!(
        read[0].stored().event.data_content_type.as_deref(),
        Some("application/json")
    );
    assert_eq!(
        read[1].stored().event.data_content_type.as_deref(),
        Some("image/png")
    );
    assert!(
        matches!(read[2], Opened::Unsealed(_)) && matches!(read[3], Opened::Plain(_)),
        "{read:?}"
    );

    let another = Keyring::new("2026", MasterKey::new([8; 32]));
    let said = sealed_error(another.open(&mut connection, kept.clone()).await)?;
    assert!(said.contains("cannot be unwrapped"), "{said}");
    let none = Keyring::new("2027", MasterKey::new([7; 32]));
    let said = sealed_error(none.open(&mut connection, kept.clone()).await)?;
    assert!(said.contains("no master key \"2026\""), "{said}");
    // Put somewhere else, it is not what it says.
    let first = &kept[0];
    let elsewhere = StoredEvent {
        stream: customer(2),
        ..first.clone()
    };
    let renamed = Event {
        r#type: "customer.cursed".to_owned(),
        ..first.event.clone()
    };
    let swapped = Event {
        id: Uuid::now_v7().to_string(),
        ..first.event.clone()
    };
    let other = |event: Event| StoredEvent {
        event,
        ..first.clone()
    };
    for moved in [elsewhere, other(renamed), other(swapped)] {
        let said = sealed_error(keyring().open(&mut connection, vec![moved]).await)?;
        assert!(said.contains("for another event"), "{said}");
    }
    Ok(())
}

#[tokio::test]
async fn who_is_forgotten_can_be_read_by_nobody_and_others_can() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    let pool = world.log().pool_of(Login::Maintainer).await?;
    let mut person = pool.acquire().await?;
    let stream = customer(1);
    append_sealed(&mut connection, &stream, "ada", named("Ada")).await?;
    append_sealed(&mut connection, &stream, "bob", named("Bob")).await?;
    append_sealed(&mut connection, &stream, "ada", named("Ada again")).await?;

    let key = forget_subject(&mut person, "ada", REASON).await?;
    let read = opened(&mut connection, &stream).await?;
    assert!(
        matches!(
            &read[..],
            [Opened::Forgotten(_), Opened::Unsealed(_), Opened::Forgotten(_)]
        ),
        "{read:?}"
    );
    assert_eq!(data(&read[0]), None);
    assert_eq!(data(&read[1]), Some(&br#"{"name":"Bob"}"#[..]));
    let left: (Option<String>, Option<Vec<u8>>, bool) = sqlx::query_as(
        "select subject, wrapped_key, destroyed_at is not null from outbox.subject_key where id = $1",
    )
    .bind(key)
    .fetch_one(&mut connection)
    .await?;
    assert_eq!(left, (None, None, true));
    let step: (Uuid, String, String) =
        sqlx::query_as("select key_id, action, reason from outbox.subject_step")
            .fetch_one(&mut connection)
            .await?;
    assert_eq!(step, (key, "destroy".to_owned(), REASON.to_owned()));

    // Whoever comes back has another key.
    append_sealed(&mut connection, &stream, "ada", named("Ada is back")).await?;
    let read = opened(&mut connection, &stream).await?;
    assert!(read[0].is_forgotten() && !read[3].is_forgotten(), "{read:?}");
    for (subject, reason, code) in [("ada", " ", "22023"), ("nobody", REASON, "P0002")] {
        match forget_subject(&mut person, subject, reason).await {
            Err(Error::Database { code: seen, .. }) => assert_eq!(seen, code),
            other => panic!("{other:?}"),
        }
    }
    let mut service = PgConnection::connect(&world.log().url_of(Login::Service)).await?;
    match forget_subject(&mut service, "bob", REASON).await {
        Err(Error::Database { code, .. }) => assert_eq!(code, "42501"),
        other => panic!("{other:?}"),
    }
    Ok(())
}

#[tokio::test]
async fn a_key_that_is_being_appended_with_is_destroyed_afterwards() -> Result {
    let world = World::new().await?;
    let (mut connection, mut watcher) = (world.connect().await?, world.connect().await?);
    let stream = customer(1);
    append_sealed(&mut connection, &stream, "ada", named("Ada")).await?;
    let mut transaction = connection.begin().await?;
    append_sealed(&mut transaction, &stream, "ada", named("Ada again")).await?;
    let mut person = world.connect().await?;
    let forgetting = tokio::spawn(async move { forget_subject(&mut person, "ada", REASON).await });
    somebody_waits(&mut watcher).await?;
    transaction.commit().await?;
    forgetting.await??;
    let read = opened(&mut connection, &stream).await?;
    assert!(
        read.len() == 2 && read.iter().all(Opened::is_forgotten),
        "{read:?}"
    );
    Ok(())
}

#[tokio::test]
async fn keys_are_wrapped_anew_by_another_master_key() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    let pool = world.log().pool_of(Login::Maintainer).await?;
    let mut person = pool.acquire().await?;
    let stream = customer(1);
    for subject in ["ada", "bob", "eve"] {
        append_sealed(&mut connection, &stream, subject, named(subject)).await?;
    }
    forget_subject(&mut person, "eve", REASON).await?;
    let new_master = || MasterKey::new([9; 32]);
    let both = Keyring::new("2027", new_master()).with_older("2026", MasterKey::new([7; 32]));
    assert_eq!(rewrap_keys(&mut person, &both).await?, 2);
    assert_eq!(rewrap_keys(&mut person, &both).await?, 0);
    let page = stored(&mut connection, &stream).await?;
    let read = Keyring::new("2027", new_master())
        .open(&mut connection, page)
        .await?;
    assert!(
        matches!(
            &read[..],
            [Opened::Unsealed(_), Opened::Unsealed(_), Opened::Forgotten(_)]
        ),
        "{read:?}"
    );
    Ok(())
}

/// Name, keys, and whether it was retired.
async fn masters(connection: &mut PgConnection) -> Result<Vec<(String, u64, bool)>> {
    let all = master_keys(connection).await?;
    let told = |master: outbox_core::event_store::forget::MasterKeyUse| {
        (master.name, master.keys, master.retired_at.is_some())
    };
    Ok(all.into_iter().map(told).collect())
}

#[tokio::test]
async fn a_retired_master_key_wraps_nothing_more() -> Result {
    // GIVEN a process with an old keyring that is wrapping a key
    let world = World::new().await?;
    let (mut old, mut person) = (world.connect().await?, world.connect().await?);
    let stream = customer(1);
    append_sealed(&mut old, &stream, "ada", named("Ada")).await?;
    let both = Keyring::new("2027", MasterKey::new([9; 32])).with_older("2026", MasterKey::new([7; 32]));
    assert_eq!(rewrap_keys(&mut person, &both).await?, 1);
    let mut late = old.begin().await?;
    let _ = keyring().seal(&mut late, &stream, "eve", named("Eve")).await?;
    // Nothing is left to wrap anew, and yet it is not over.
    assert_eq!(rewrap_keys(&mut person, &both).await?, 0);
    // WHEN the old one would be retired in a transaction that cannot see whom it waits for THEN that is refused
    for isolation in ["repeatable read", "serializable"] {
        let mut blind = person.begin().await?;
        let set = format!("set transaction isolation level {isolation}; set local lock_timeout = '5s'");
        blind.execute(AssertSqlSafe(set)).await?;
        let refused = retire_master_key(&mut blind, "2026", "a new year").await;
        assert!(
            matches!(&refused, Err(Error::Database { code, .. }) if code == "0A000"),
            "{refused:?}"
        );
    }
    // WHEN the old one is retired THEN that process is waited for, and counted
    let retiring = tokio::spawn(async move {
        let left = retire_master_key(&mut person, "2026", "a new year").await;
        (person, left)
    });
    let mut observer = world.connect().await?;
    somebody_waits(&mut observer).await?;
    late.commit().await?;
    let (mut person, left) = retiring.await.map_err(|error| Failure::new(error.to_string()))?;
    assert_eq!(left?, 1);
    let name = |name: &str, keys, is_retired| (name.to_owned(), keys, is_retired);
    assert_eq!(
        masters(&mut observer).await?,
        [name("2026", 1, true), name("2027", 1, false)]
    );
    // AND it wraps no other, whoever has it, while what it wrapped is still opened
    let refused = keyring().seal(&mut old, &stream, "bob", named("Bob")).await;
    assert!(
        matches!(&refused, Err(Error::Database { code, message, .. }) if code == "55000" && message.contains("was retired")),
        "{refused:?}"
    );
    let _ = keyring().seal(&mut old, &stream, "eve", named("Eve")).await?;
    let back = Keyring::new("2026", MasterKey::new([7; 32])).with_older("2027", MasterKey::new([9; 32]));
    assert!(rewrap_keys(&mut person, &back).await.is_err(), "wrapped back");
    assert_eq!(rewrap_keys(&mut person, &both).await?, 1);
    assert_eq!(
        masters(&mut observer).await?,
        [name("2026", 0, true), name("2027", 2, false)]
    );
    // One that was never used is a slip of the pen.
    let unknown = retire_master_key(&mut person, "2O26", "a new year").await;
    assert!(
        matches!(&unknown, Err(Error::Database { code, .. }) if code == "P0002"),
        "{unknown:?}"
    );
    assert_eq!(retire_master_key(&mut person, "2026", "again").await?, 0);
    Ok(())
}

#[tokio::test]
async fn what_goes_to_a_topic_is_sealed_and_forgotten_there_too() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    let mut relay = Relay::of(&world).start()?;
    relay.leads().await?;
    let stream = customer(1);
    let event = named("Ada").publish_to("customers").schema_version("3");
    append_sealed(&mut connection, &stream, "ada", event).await?;
    let mut redis = world.redis().await?;
    let found = until("the event is on its stream", LIMIT, async || {
        let found = entries(&mut redis, "outbox:customers").await?;
        Ok((!found.is_empty()).then_some(found))
    })
    .await?;
    let received = decode_entry(&[(b"event".to_vec(), found[0].json.clone().into_bytes())])?;
    let bytes = received.data.as_ref().map(Data::as_bytes).unwrap_or_default();
    assert!(!bytes.windows(3).any(|window| window == b"Ada"), "in the clear");
    assert!(received.extensions.contains_key("subjectkey"), "{received:?}");
    let read = keyring()
        .open_published(&mut connection, received.clone())
        .await?;
    let read = read.ok_or_else(|| Failure::new("forgotten"))?;
    assert_eq!(
        read.data.as_ref().map(Data::as_bytes),
        Some(&br#"{"name":"Ada"}"#[..])
    );
    forget_subject(&mut connection, "ada", REASON).await?;
    assert_eq!(keyring().open_published(&mut connection, received).await?, None);
    Ok(())
}

/// What is known of a customer.
struct Customer;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data")]
enum CustomerEvent {
    #[serde(rename = "customer.named")]
    Named { name: String },
    #[serde(rename = "customer.counted")]
    Counted,
    #[serde(rename = "customer.noted")]
    Noted { note: String },
}

impl TypedEvent for CustomerEvent {
    const TYPES: &'static [EventType] = &[
        EventType::new("customer.named", 1),
        EventType::new("customer.counted", 1),
        EventType::new("customer.noted", 1),
    ];

    fn data_subject(&self) -> Option<String> {
        matches!(self, Self::Named { .. } | Self::Noted { .. }).then(|| "ada".to_owned())
    }

    fn forgotten(event_type: &str) -> Option<Self> {
        (event_type == "customer.named").then(|| Self::Named {
            name: "(forgotten)".to_owned(),
        })
    }
}

impl Decider for Customer {
    type Command = CustomerEvent;
    type Event = CustomerEvent;
    type State = Vec<String>;
    type Refusal = std::convert::Infallible;

    fn initial() -> Vec<String> {
        Vec::new()
    }

    fn evolve(mut names: Vec<String>, event: &CustomerEvent) -> Vec<String> {
        names.push(match event {
            CustomerEvent::Named { name } => name.clone(),
            CustomerEvent::Counted => "1".to_owned(),
            CustomerEvent::Noted { note } => note.clone(),
        });
        names
    }

    fn decide(
        command: &CustomerEvent,
        _: &Vec<String>,
    ) -> std::result::Result<Vec<CustomerEvent>, std::convert::Infallible> {
        Ok(vec![match command {
            CustomerEvent::Named { name } => CustomerEvent::Named { name: name.clone() },
            CustomerEvent::Counted => CustomerEvent::Counted,
            CustomerEvent::Noted { note } => CustomerEvent::Noted { note: note.clone() },
        }])
    }
}

#[tokio::test]
async fn aggregates_seal_open_and_go_on_without_what_was_forgotten() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    let (stream, none) = (customer(1), Context::none());
    let plain = Repository::<Customer>::new()?.snapshots(Snapshots::of("customer", 1).every(1));
    let repository = plain.clone().keyring(keyring());
    let name = CustomerEvent::Named {
        name: "Ada".to_owned(),
    };
    let refused = plain.execute(&mut connection, &stream, &name, &none).await;
    assert!(refused.is_err_and(|error| error.to_string().contains("no keyring")));

    let command = Context::of_command(Uuid::now_v7());
    for _ in 0..2 {
        let decided = repository
            .execute(&mut connection, &stream, &name, &command)
            .await?;
        let (Decided::Appended { events, .. } | Decided::AlreadyAppended { events, .. }) = decided else {
            panic!("{decided:?}")
        };
        assert_eq!(
            events,
            [CustomerEvent::Named {
                name: "Ada".to_owned()
            }]
        );
    }
    let _ = repository
        .execute(&mut connection, &stream, &CustomerEvent::Counted, &none)
        .await?;
    assert_eq!(
        repository.load(&mut connection, &stream).await?.state,
        ["Ada", "1"]
    );
    let kept: i64 = sqlx::query_scalar("select count(*) from outbox.stream_snapshot")
        .fetch_one(&mut connection)
        .await?;
    assert_eq!(kept, 0, "a state with somebody in it is not kept in the clear");
    match plain.load(&mut connection, &stream).await {
        Err(Error::Unreadable(unreadable)) => assert_eq!(unreadable.fault, Fault::Sealed),
        other => panic!("{other:?}"),
    }

    forget_subject(&mut connection, "ada", REASON).await?;
    let loaded = repository.load(&mut connection, &stream).await?;
    assert_eq!(
        (loaded.version, loaded.state),
        (2, vec!["(forgotten)".to_owned(), "1".to_owned()])
    );
    // A type for which nothing stands says so.
    let note = CustomerEvent::Noted {
        note: "likes tea".to_owned(),
    };
    let _ = repository.execute(&mut connection, &stream, &note, &none).await?;
    forget_subject(&mut connection, "ada", REASON).await?;
    match repository.load(&mut connection, &stream).await {
        Err(Error::Unreadable(unreadable)) => assert_eq!(unreadable.fault, Fault::Forgotten),
        other => panic!("{other:?}"),
    }
    Ok(())
}
