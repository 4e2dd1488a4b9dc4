//! The library and `outbox.append` must agree on what an event may be: the same verdict, the same field, the same rule.

use std::collections::BTreeMap;

use outbox_core::append::{self, NewEvent};
use outbox_core::event::ExtensionValue;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use sqlx::{Connection, PgConnection};
use system_tests::{Result, World};
use time::OffsetDateTime;
use time::macros::datetime;

/// An event as both sides take it.
#[derive(Clone, Debug)]
struct Case {
    topic: String,
    optional: BTreeMap<&'static str, String>,
    extensions: BTreeMap<String, ExtensionValue>,
    time: Option<OffsetDateTime>,
    json: Option<String>,
    binary: Option<Vec<u8>>,
}

const OPTIONAL: [&str; 11] = [
    "key",
    "type",
    "source",
    "subject",
    "data_content_type",
    "data_schema",
    "schema_version",
    "correlation_id",
    "causation_id",
    "traceparent",
    "tracestate",
];

/// Both take arrays of one here.
const BATCH: &str = "select outbox.append_batch(array[gen_random_uuid()], $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)";
const EVENT: &str = "select outbox.append_event(gen_random_uuid(), ($1::text[])[1], ($2::text[])[1], ($3::text[])[1], ($4::text[])[1], \
     ($5::text[])[1], ($6::timestamptz[])[1], ($7::text[])[1], ($8::text[])[1], ($9::text[])[1], ($10::text[])[1], ($11::text[])[1], \
     ($12::text[])[1], ($13::text[])[1], ($14::text[])[1]::json, ($15::text[])[1]::json, ($16::bytea[])[1])";
/// By the view. Each parameter stands in the statement more than once then, and is the same each time.
const OUTGOING: &str = "insert into outbox.outgoing (topic, key, type, source, subject, \"time\", data_content_type, data_schema, schema_version, \
     correlation_id, causation_id, traceparent, tracestate, extensions, data, data_binary) \
     values (($1::text[])[1], ($2::text[])[1], ($3::text[])[1], ($4::text[])[1], ($5::text[])[1], ($6::timestamptz[])[1], ($7::text[])[1], \
     ($8::text[])[1], ($9::text[])[1], ($10::text[])[1], ($11::text[])[1], ($12::text[])[1], ($13::text[])[1], ($14::text[])[1]::json, \
     ($15::text[])[1]::json, ($16::bytea[])[1])";

impl Case {
    fn ordinary() -> Self {
        Self {
            topic: "orders.placed".to_owned(),
            optional: BTreeMap::new(),
            extensions: BTreeMap::new(),
            time: None,
            json: Some("{}".to_owned()),
            binary: None,
        }
    }

    fn with(field: &'static str, value: impl Into<String>) -> Self {
        let mut case = Self::ordinary();
        case.optional.insert(field, value.into());
        case
    }

    fn with_extension(name: impl Into<String>, value: impl Into<ExtensionValue>) -> Self {
        let mut case = Self::ordinary();
        case.extensions.insert(name.into(), value.into());
        case
    }

    fn event(&self) -> NewEvent {
        let mut event = NewEvent::new(self.topic.clone());
        if let Some(json) = &self.json {
            event = event.json_text(json.clone());
        }
        if let Some(bytes) = &self.binary {
            event = event.binary(bytes.clone(), "x/y");
        }
        for (field, value) in &self.optional {
            let value = value.clone();
            event = match *field {
                "key" => event.key(value),
                "type" => event.event_type(value),
                "source" => event.source(value),
                "subject" => event.subject(value),
                "data_content_type" => event.data_content_type(value),
                "data_schema" => event.data_schema(value),
                "schema_version" => event.schema_version(value),
                "correlation_id" => event.correlation_id(value),
                "causation_id" => event.causation_id(value),
                "traceparent" => event.traceparent(value),
                _ => event.tracestate(value),
            };
        }
        if let Some(time) = self.time {
            event = event.time(time);
        }
        self.extensions
            .iter()
            .fold(event, |event, (name, value)| event.extension(name, value.clone()))
    }

    /// What the library says; nothing is sent when it refuses.
    async fn by_library(&self, connection: &mut PgConnection) -> Result<Option<String>> {
        let mut transaction = connection.begin().await?;
        let outcome = append::append(&mut transaction, self.event()).await;
        transaction.rollback().await?;
        Ok(match outcome {
            Ok(_) => None,
            Err(error) => Some(error.to_string().replace("event 1 of the call refused: ", "")),
        })
    }

    /// What the database says to what the library would have sent, by this statement.
    async fn by_database(
        &self,
        statement: &'static str,
        connection: &mut PgConnection,
    ) -> Result<Option<String>> {
        let of = |field: &str| vec![self.optional.get(field).cloned()];
        let extensions = (!self.extensions.is_empty())
            .then(|| serde_json::to_string(&self.extensions))
            .transpose()?;
        let mut transaction = connection.begin().await?;
        let outcome = sqlx::query(statement)
            .bind(vec![self.topic.clone()])
            .bind(of("key"))
            .bind(of("type"))
            .bind(of("source"))
            .bind(of("subject"))
            .bind(vec![self.time])
            .bind(if self.binary.is_some() {
                vec![Some("x/y".to_owned())]
            } else {
                of("data_content_type")
            })
            .bind(of("data_schema"))
            .bind(of("schema_version"))
            .bind(of("correlation_id"))
            .bind(of("causation_id"))
            .bind(of("traceparent"))
            .bind(of("tracestate"))
            .bind(vec![extensions])
            .bind(vec![self.json.clone()])
            .bind(vec![self.binary.clone()])
            .execute(&mut *transaction)
            .await;
        transaction.rollback().await?;
        match outcome {
            Ok(_) => Ok(None),
            Err(sqlx::Error::Database(refused)) => {
                let said = refused.message().replace("event refused: ", "");
                Ok(Some(said.replace("event 1: ", "")))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// All must take it, or all refuse it with the same words up to the value, which each quotes in its own way.
    async fn agree(&self, connection: &mut PgConnection, what: &str) -> Result<bool> {
        let library = self.by_library(connection).await?;
        let rule = |text: &Option<String>| {
            text.as_deref()
                .map(|text| text.split(", got").next().unwrap_or(text).to_owned())
        };
        // For people, who have no column to name: it is taken out of the extensions.
        let is_trace = |name: &String| name == "traceparent" || name == "tracestate";
        for statement in [BATCH, EVENT, OUTGOING] {
            if statement != BATCH && self.extensions.keys().any(is_trace) {
                continue;
            }
            let database = self.by_database(statement, connection).await?;
            assert_eq!(
                rule(&library),
                rule(&database),
                "{what}: {self:?}\nlibrary: {library:?}\n{statement}: {database:?}"
            );
        }
        Ok(library.is_none())
    }
}

#[tokio::test]
async fn at_every_edge() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    let mut cases = vec![Case::ordinary()];
    for topic in [
        "",
        " ",
        "a b",
        "a/b",
        "a\n",
        "é",
        "a'b",
        "a\\b",
        ".",
        &"a".repeat(200),
        &"a".repeat(201),
        &"é".repeat(150),
    ] {
        cases.push(Case {
            topic: topic.to_owned(),
            ..Case::ordinary()
        });
        cases.push(Case::with("type", topic));
    }
    for field in OPTIONAL {
        for bytes in [0, 1, 200, 201, 1024, 1025, 2048, 2049] {
            cases.push(Case::with(field, "x".repeat(bytes)));
        }
        // Bytes count, not characters.
        cases.push(Case::with(field, "é".repeat(1024)));
        cases.push(Case::with(field, "é".repeat(1025)));
    }
    let long = ["z".repeat(64), "z".repeat(65)];
    for name in [
        "zone",
        "",
        "Zone",
        "a_b",
        "a-b",
        "é",
        "1",
        "z\n",
        &long[0],
        &long[1],
        "id",
        "data",
        "specversion",
        "time",
    ] {
        cases.push(Case::with_extension(name, "x"));
    }
    for name in [
        "partitionkey",
        "recordedtime",
        "previousid",
        "schemaversion",
        "correlationid",
        "traceparent",
        "tracestate",
    ] {
        cases.push(Case::with_extension(name, "x"));
    }
    for value in [
        "".into(),
        "é".repeat(2048).into(),
        "é".repeat(2049).into(),
        i32::MIN.into(),
        i32::MAX.into(),
        true.into(),
    ] {
        let value: ExtensionValue = value;
        cases.push(Case::with_extension("zone", value));
    }
    for count in [64, 65] {
        let extensions = (0..count).map(|n| (format!("x{n}"), n.into())).collect();
        cases.push(Case {
            extensions,
            ..Case::ordinary()
        });
    }
    for bytes in [0, 262_144, 262_145] {
        cases.push(Case {
            json: None,
            binary: Some(vec![0; bytes]),
            ..Case::ordinary()
        });
        cases.push(Case {
            json: Some("1".repeat(bytes.max(1))),
            ..Case::ordinary()
        });
    }
    for time in [
        datetime!(0001-01-01 00:00 UTC),
        datetime!(0000-12-31 23:59:59 UTC),
        datetime!(0001-01-01 00:00 +01:00),
        datetime!(9999-12-31 23:59:59.999999 UTC),
    ] {
        cases.push(Case {
            time: Some(time),
            ..Case::ordinary()
        });
    }
    let mut taken = 0;
    for case in &cases {
        taken += usize::from(case.agree(&mut connection, "at an edge").await?);
    }
    assert!(
        (60..cases.len() - 60).contains(&taken),
        "{taken} of {} were taken: one side is not tested",
        cases.len()
    );
    Ok(())
}

#[tokio::test]
async fn at_random() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    let seed: u64 = rand::rng().random();
    let mut random = StdRng::seed_from_u64(seed);
    let mut taken = 0;
    for _ in 0..400 {
        let mut case = Case {
            topic: text(&mut random, 1),
            ..Case::ordinary()
        };
        for field in OPTIONAL {
            if random.random_bool(0.2) {
                case.optional.insert(field, text(&mut random, 1));
            }
        }
        if random.random_bool(0.4) {
            case.extensions
                .insert(text(&mut random, 1), text(&mut random, 0).into());
        }
        taken += usize::from(case.agree(&mut connection, &format!("seed {seed}")).await?);
    }
    assert!(taken > 20, "seed {seed}: only {taken} were taken");
    Ok(())
}

/// Short texts, mostly plain, of what rules trip over.
fn text(random: &mut StdRng, least: usize) -> String {
    const PLAIN: [char; 6] = ['a', 'z', '0', '9', 'm', 'e'];
    const AWKWARD: [char; 14] = [
        'A', '.', '_', '-', ' ', '\'', '"', '\\', '\n', '\r', 'é', '😀', '\u{7f}', '\u{feff}',
    ];
    let length = random.random_range(least..6);
    (0..length)
        .filter_map(|_| {
            if random.random_bool(0.93) {
                PLAIN.choose(random)
            } else {
                AWKWARD.choose(random)
            }
        })
        .collect()
}

/// Rules that only the library has, since Postgres answers them with an error of its own; it must refuse them as well.
#[tokio::test]
async fn what_postgres_cannot_even_take_is_refused_before() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    let mut cases = vec![Case {
        json: Some("{\"a\":}".to_owned()),
        ..Case::ordinary()
    }];
    cases.push(Case {
        json: Some("\"\0\"".to_owned()),
        ..Case::ordinary()
    });
    cases.push(Case {
        json: Some(String::new()),
        ..Case::ordinary()
    });
    cases.push(Case::with_extension("zone", "a\0b"));
    cases.extend(OPTIONAL.map(|field| Case::with(field, "a\0b")));
    for case in cases {
        let library = case.by_library(&mut connection).await?;
        assert!(
            library.is_some()
                && case.by_database(EVENT, &mut connection).await?.is_some()
                && case.by_database(OUTGOING, &mut connection).await?.is_some(),
            "{case:?}"
        );
        assert!(
            !library.unwrap_or_default().contains("the database"),
            "it was sent: {case:?}"
        );
    }
    Ok(())
}
