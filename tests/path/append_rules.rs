//! The library and every function that appends must agree on what an event may be: the same verdict, the same field, the same rule. The log
//! itself has no checks: nobody else inserts there.

use std::collections::BTreeMap;

use outbox_core::append::{self, NewEvent};
use outbox_core::event::ExtensionValue;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
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

/// All ways to append. Each takes the same arrays of one here.
const WAYS: [&str; 6] = [BATCH, EVENT, APPEND, OUTGOING, STREAM, STREAMS];
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
/// Traces are extensions there.
const APPEND: &str = "select outbox.append(topic => ($1::text[])[1], key => ($2::text[])[1], type => ($3::text[])[1], source => ($4::text[])[1], \
     subject => ($5::text[])[1], \"time\" => ($6::timestamptz[])[1], data_content_type => ($7::text[])[1], data_schema => ($8::text[])[1], \
     schema_version => ($9::text[])[1], correlation_id => ($10::text[])[1], causation_id => ($11::text[])[1], \
     extensions => nullif((coalesce(($14::text[])[1]::jsonb, '{}') || jsonb_strip_nulls(jsonb_build_object('traceparent', ($12::text[])[1], \
         'tracestate', ($13::text[])[1])))::text, '{}')::json, \
     data => ($15::text[])[1]::json, data_binary => ($16::bytea[])[1])";
/// A stream is the key of its events, and their type is named.
const STREAM: &str = "select outbox.append_to_stream('any-1', null, json_build_array(json_strip_nulls(json_build_object('topic', ($1::text[])[1], \
     'type', coalesce(($3::text[])[1], ($1::text[])[1]), 'source', ($4::text[])[1], 'subject', ($5::text[])[1], 'time', ($6::timestamptz[])[1]::text, \
     'data_content_type', ($7::text[])[1], 'data_schema', ($8::text[])[1], 'schema_version', ($9::text[])[1], 'correlation_id', ($10::text[])[1], \
     'causation_id', ($11::text[])[1], 'traceparent', ($12::text[])[1], 'tracestate', ($13::text[])[1], 'extensions', ($14::text[])[1]::json, \
     'data', ($15::text[])[1]::json, 'data_base64', encode(($16::bytea[])[1], 'base64'))))) where ($2::text[])[1] is null";
const STREAMS: &str = "select * from outbox.append_to_streams(array['any-1'], array[null::bigint], array[1], array[gen_random_uuid()], $1, \
     array[coalesce(($3::text[])[1], ($1::text[])[1])], $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, array[null]) \
     where ($2::text[])[1] is null";

/// What it does not take it leaves out, without a word.
const IF_PLAIN: &str = "insert into outbox.outgoing_if_plain (id, topic, key, type, source, schema_version, correlation_id, causation_id, traceparent, \
     tracestate, data) values (gen_random_uuid(), $1, $2, $3, $4, $5, $6, $7, $8, $9, $10::json)";

/// Rows that break what the log had checks for.
const BROKEN: &str = "select count(*) from outbox.log \
     where (octet_length(topic) <= 200 and topic ~ '^[A-Za-z0-9._-]+$') is false or (octet_length(type) <= 200 and type ~ '^[A-Za-z0-9._-]+$') is false \
        or (source <> '') is false or (data is null or data_binary is null) is false \
        or (coalesce(octet_length(data), 0) <= 16777216 and coalesce(octet_length(data_binary), 0) <= 16777216) is false \
        or (topic is not null or stream is not null) is false \
        or ((stream is null) = (version is null) and (stream is null) = (category is null) \
            and (stream is null) = (retention not in ('stream', 'archive')) and version > 0) is false";

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
        if outcome.is_ok() {
            let (rows, broken): (i64, i64) = sqlx::query_as(AssertSqlSafe(format!(
                "select (select count(*) from outbox.log), ({BROKEN})"
            )))
            .fetch_one(&mut *transaction)
            .await?;
            assert_eq!((rows, broken), (1, 0), "{statement} let it through: {self:?}");
        }
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
        for statement in WAYS {
            if [EVENT, APPEND, OUTGOING].contains(&statement) && self.extensions.keys().any(is_trace) {
                continue;
            }
            // A key is that of the stream, and an empty topic is none.
            if (statement == STREAM || statement == STREAMS)
                && (self.optional.contains_key("key") || self.topic.is_empty())
            {
                continue;
            }
            let database = self.by_database(statement, connection).await?;
            assert_eq!(
                rule(&library),
                rule(&database),
                "{what}: {self:?}\nlibrary: {library:?}\n{statement}: {database:?}"
            );
        }
        if self.by_view_of_plain(connection).await? == Some(true) {
            assert_eq!(
                library, None,
                "{what}: the view of plain events took it: {self:?}"
            );
        }
        Ok(library.is_none())
    }

    /// Whether the view for plain events takes it, if it has a place there for all of it.
    async fn by_view_of_plain(&self, connection: &mut PgConnection) -> Result<Option<bool>> {
        let rare = ["subject", "data_content_type", "data_schema"];
        if self.time.is_some()
            || self.binary.is_some()
            || !self.extensions.is_empty()
            || rare.iter().any(|field| self.optional.contains_key(field))
        {
            return Ok(None);
        }
        let of = |field: &str| self.optional.get(field).cloned();
        let mut transaction = connection.begin().await?;
        let inserted = sqlx::query(IF_PLAIN)
            .bind(&self.topic)
            .bind(of("key"))
            .bind(of("type"))
            .bind(of("source"))
            .bind(of("schema_version"))
            .bind(of("correlation_id"))
            .bind(of("causation_id"))
            .bind(of("traceparent"))
            .bind(of("tracestate"))
            .bind(&self.json)
            .execute(&mut *transaction)
            .await;
        transaction.rollback().await?;
        match inserted {
            Ok(done) => Ok(Some(done.rows_affected() == 1)),
            // What is no JSON, and what no text can hold.
            Err(sqlx::Error::Database(_)) => Ok(Some(false)),
            Err(error) => Err(error.into()),
        }
    }
}

#[tokio::test]
async fn a_plain_event_is_taken_by_the_view_for_them() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    let full = OPTIONAL
        .iter()
        .filter(|field| !["subject", "data_content_type", "data_schema"].contains(field))
        .fold(Case::ordinary(), |mut case, field| {
            case.optional.insert(field, "t".to_owned());
            case
        });
    for case in [Case::ordinary(), full] {
        assert_eq!(
            case.by_view_of_plain(&mut connection).await?,
            Some(true),
            "{case:?}"
        );
    }
    Ok(())
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
        // One name may not stand in for the other.
        cases.push(Case {
            topic: topic.to_owned(),
            ..Case::with("type", "a")
        });
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

/// Whatever else is to insert there must ask the same rules, and be tried here.
#[tokio::test]
async fn nobody_else_inserts_into_the_log() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    let found: Vec<String> = sqlx::query_scalar(
        "select said.name from (
             select p.proname::text as name, pg_get_functiondef(p.oid) as definition
             from pg_proc p where p.pronamespace in ('outbox'::regnamespace, 'outbox_ops'::regnamespace)
             union all
             select format('%s on %s', r.rulename, r.ev_class::regclass), pg_get_ruledef(r.oid)
             from (select w.oid, w.rulename, w.ev_class from pg_rewrite w join pg_class c on c.oid = w.ev_class
                   where c.relnamespace in ('outbox'::regnamespace, 'outbox_ops'::regnamespace)) r
         ) said
         where said.definition ~* 'insert\\s+into\\s+outbox\\.\"?log(_(standard|audit|durable|stream|archive)[a-z0-9_]*)?\"?[\\s(]'
         order by said.name collate \"C\"",
    )
    .fetch_all(&mut connection)
    .await?;
    assert_eq!(
        found,
        [
            "append on outbox.outgoing",
            "append on outbox.outgoing_if_plain",
            "append_batch",
            "append_event",
            "append_many",
            "append_stored",
            "append_to_streams"
        ]
    );
    Ok(())
}

/// What an era, which begins a new history of the log, waits for: nobody who drew a position may be left. Each way holds what it asks for.
#[tokio::test]
async fn an_era_waits_for_whoever_appends() -> Result {
    let world = World::new().await?;
    let (mut producer, mut recovery) = (world.connect().await?, world.connect().await?);
    producer
        .execute(
            r#"insert into outbox.topic (name, retention) values ('audited', 'audit');
               select outbox.append_to_stream('a-1', 0, '[{"type": "x"}]')"#,
        )
        .await?;
    // It asks in one order and in the other.
    let asks: Vec<String> = sqlx::query_scalar(
        "select found[1] || ' nowait' from regexp_matches(pg_get_functiondef('outbox.open_era'::regproc), 'lock table [^;]*', 'g') found",
    )
    .fetch_all(&mut recovery)
    .await?;
    assert_eq!(asks.len(), 2, "{asks:?}");
    let none = "array[null]";
    let batch = format!(
        "select outbox.append_batch(array[gen_random_uuid()], array['t'], {none}, {none}, {none}, {none}, array[null]::timestamptz[], {none}, {none},
                                    {none}, {none}, {none}, {none}, {none}, {none}, array['{{}}'], array[null]::bytea[])"
    );
    for way in [
        "select outbox.append('t', '{}')",
        "select outbox.append('t')",
        "select outbox.append('audited', '{}')",
        "select outbox.append('t', '{}', subject => 's')",
        &batch,
        "insert into outbox.outgoing (topic, data) values ('t', '{}')",
        "insert into outbox.outgoing (topic, data) values ('audited', '{}')",
        "insert into outbox.outgoing_if_plain (id, topic, data) values (gen_random_uuid(), 't', '{}')",
        "select outbox.append_stored('a-1', null, gen_random_uuid(), null, 'x', null, null, null, null, null, '{}')",
        r#"select outbox.append_to_stream('a-1', null, '[{"type": "x"}]')"#,
        r#"select outbox.append_to_stream('b-1', 0, '[{"type": "x"}, {"type": "y"}]')"#,
        r#"select outbox.append_to_stream('a-1', null, '[{"type": "x", "tags": ["t"]}]')"#,
    ] {
        let mut open = producer.begin().await?;
        let before: i64 = sqlx::query_scalar("select count(*) from outbox.log")
            .fetch_one(&mut *open)
            .await?;
        open.execute(AssertSqlSafe(way.to_owned())).await?;
        let after: i64 = sqlx::query_scalar("select count(*) from outbox.log")
            .fetch_one(&mut *open)
            .await?;
        assert!(after > before, "{way} appended nothing");
        for ask in &asks {
            let mut era = recovery.begin().await?;
            let asked = era.execute(AssertSqlSafe(ask.clone())).await;
            assert!(
                matches!(&asked, Err(sqlx::Error::Database(refused)) if refused.code().as_deref() == Some("55P03")),
                "an era does not wait for {way} by {ask}: {asked:?}"
            );
            era.rollback().await?;
        }
        open.commit().await?;
    }
    // AND once they have ended it has the log
    for ask in asks {
        recovery
            .execute(AssertSqlSafe(format!("begin; {ask}; rollback")))
            .await?;
    }
    Ok(())
}
