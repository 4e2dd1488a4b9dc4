//! Canaries: passwords of both servers, and everything of an event that is somebody's business, are looked for in all that
//! relay, consumer and commands say at the loudest level of the log, whatever goes wrong (G12).

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use sqlx::{AssertSqlSafe, Executor};
use system_tests::patience::until;
use system_tests::{Collector, Database, Invocation, Relay, Result, Schema, World};
use xtask::servers::{Postgres, Redis};

const LIMIT: Duration = Duration::from_secs(30);

const POSTGRES_PASSWORD: &str = "canary-of-postgres";
const REDIS_PASSWORD: &str = "canary-of-redis";
const WRONG_PASSWORD: &str = "canary-that-is-wrong";
const PAYLOAD: &str = "canary-card-4711";
const KEY: &str = "canary-customer-0815";
const SUBJECT: &str = "canary-subject";
const EXTENSION: &str = "canary-extension";
/// What a handler says when it fails.
const SAID: &str = "canary-said";
/// All begin like this.
const CANARY: &str = "canary";

/// Handlers that fail in every way that quotes what they were given.
const HANDLER: &str = r"
    create schema shop;
    create table shop.card (number text primary key, amount integer check (amount > 0), note text not null);
    insert into shop.card values ('canary-card-4711', 1, '');
    create function shop.apply(event json) returns void language plpgsql as $$
    declare
        how text := event -> 'data' ->> 'how';
        card text := event -> 'data' ->> 'card';
    begin
        if how = 'said' then raise exception 'canary-said % of %', card, event using detail = event, hint = card;
        elsif how = 'unique' then insert into shop.card values (card, 1, '');
        elsif how = 'check' then insert into shop.card values ('x' || card, 0, card);
        elsif how = 'null' then insert into shop.card values ('y' || card, 1, null);
        elsif how = 'number' then perform card::integer;
        elsif how = 'json' then perform ('{' || card)::json;
        elsif how = 'statement' then execute 'select ' || quote_ident(card);
        end if;
        raise notice 'applied %', event;
        raise warning 'applied %', card;
    end $$;
    grant usage on schema shop to public;
    grant all on shop.card to public";
const WAYS: [&str; 7] = ["said", "unique", "check", "null", "number", "json", "statement"];

/// Both servers want passwords of everybody but the test itself.
struct Ground {
    database: Database,
    world: World,
    folder: tempfile::TempDir,
}

impl Ground {
    async fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        // The server runs under an account of its own.
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755))?;
        let rules = folder.path().join("pg_hba.conf");
        std::fs::write(
            &rules,
            "host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n",
        )?;
        let postgres = Postgres::options().set("hba_file", rules.display());
        let redis = Redis::options().set("user", format!("service on >{REDIS_PASSWORD} ~* &* +@all"));
        let world = World::with_own_servers(postgres, redis).await?;
        let database = world.another_database(Schema::Both).await?;
        let mut administrator = database.connect().await?;
        administrator.execute(HANDLER).await?;
        let login = format!(
            "create role service login password '{POSTGRES_PASSWORD}' in role outbox_relay, outbox_maintainer, outbox_consumer, outbox_operator;
             create role onlooker login password '{POSTGRES_PASSWORD}' in role outbox_observer"
        );
        administrator.execute(AssertSqlSafe(login)).await?;
        Ok(Self {
            database,
            world,
            folder,
        })
    }

    fn postgres(&self, user_and_password: &str) -> String {
        let login = format!("//{user_and_password}@");
        self.database.url().replacen("//postgres@", &login, 1)
    }

    fn redis(&self, user_and_password: &str) -> String {
        let login = format!("//{user_and_password}@");
        self.world.redis_url().replacen("//", &login, 1)
    }

    fn file(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text)?;
        Ok(path)
    }

    /// A command whose passwords come from the environment.
    fn ask(&self, arguments: &[&str]) -> Result<String> {
        let answer = Invocation::new(arguments)?
            .set(
                "DATABASE_URL",
                self.postgres(&format!("service:{POSTGRES_PASSWORD}")),
            )
            .set("REDIS_URL", self.redis(&format!("service:{REDIS_PASSWORD}")))
            .set("OUTBOX_LOG_LEVEL", "trace")
            .ask()?;
        Ok(format!("{}{}", answer.output, answer.errors))
    }
}

/// Nothing of what is said has a canary in it.
fn is_silent(place: &str, said: &str) {
    let lines: Vec<&str> = said
        .lines()
        .filter(|line| line.contains(CANARY))
        .take(3)
        .collect();
    assert!(lines.is_empty(), "{place}: {}", lines.join("\n"));
}

async fn is_silent_throughout(place: &str, process: &Relay) -> Result {
    for page in ["/metrics", "/readyz", "/livez"] {
        is_silent(&format!("{page} of {place}"), &process.get(page).await?.1);
    }
    let log = process.log();
    assert!(
        log.lines().count() > 15,
        "the log of {place} is too short to say anything"
    );
    is_silent(&format!("the log of {place}"), &log);
    Ok(())
}

#[tokio::test]
async fn no_canary_is_in_anything_that_relay_consumer_commands_and_views_say() -> Result {
    // GIVEN a relay with its passwords in the environment and a consumer with its in files, both at the loudest level, with spans
    let ground = Ground::new().await?;
    let collector = Collector::start().await?;
    let mut relay = Relay::of(&ground.world)
        .set(
            "DATABASE_URL",
            ground.postgres(&format!("service:{POSTGRES_PASSWORD}")),
        )
        .set("REDIS_URL", ground.redis(&format!("service:{REDIS_PASSWORD}")))
        .set("OUTBOX_LOG_LEVEL", "trace")
        .set("OUTBOX_PUBLISH_MAX_ENTRY_BYTES", "2 KiB")
        .set("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint())
        .start()?;
    relay.leads().await?;
    let arguments = [
        "consume",
        "--group",
        "stock",
        "--topic",
        "cards",
        "--call",
        "shop.apply",
    ];
    let mut consumer = Relay::command(&arguments)
        .set("DATABASE_URL", ground.postgres("service"))
        .set(
            "REDIS_URL",
            ground.redis("service:").replacen("service:@", "service@", 1),
        )
        .set(
            "OUTBOX_POSTGRES_PASSWORD_FILE",
            ground.file("postgres", POSTGRES_PASSWORD)?.display(),
        )
        .set(
            "OUTBOX_REDIS_PASSWORD_FILE",
            ground.file("redis", REDIS_PASSWORD)?.display(),
        )
        .set("OUTBOX_LOG_LEVEL", "trace")
        .set("OUTBOX_CONSUME_ATTEMPTS", 2)
        .set("OUTBOX_CONSUME_BACKOFF_MIN", "10ms")
        .set("OUTBOX_CONSUME_BACKOFF_MAX", "10ms")
        .set("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint())
        .start()?;
    consumer.ready().await?;
    // WHEN events are applied, fail in every way, cannot be read, and are too large to be published
    let mut administrator = ground.database.connect().await?;
    for (topic, how, width) in [("cards", "well", 1), ("wide", "well", 500)]
        .into_iter()
        .chain(WAYS.map(|way| ("cards", way, 1)))
    {
        sqlx::query(
            "select outbox.append($1, json_build_object('how', $2, 'card', repeat($3, $4)), key => $5 || $2, subject => $6,
                                  extensions => json_build_object('shade', $7, 'traceparent', '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'))",
        )
        .bind(topic)
        .bind(how)
        .bind(PAYLOAD)
        .bind(width)
        .bind(KEY)
        .bind(SUBJECT)
        .bind(EXTENSION)
        .execute(&mut administrator)
        .await?;
    }
    // A stranger's ids are of the present: what the relay still has to send would be below them.
    let mut redis = ground.world.redis().await?;
    until("the events are published", LIMIT, async || {
        let length: i64 = redis::cmd("XLEN")
            .arg("outbox:cards")
            .query_async(&mut redis)
            .await?;
        Ok((length == 8).then_some(()))
    })
    .await?;
    for broken in [
        format!("{{\"card\": \"{PAYLOAD}\""),
        format!("\"{PAYLOAD}\""),
        PAYLOAD.to_owned(),
    ] {
        redis::cmd("XADD")
            .arg(&["outbox:cards", "*", "event", &broken])
            .query_async::<()>(&mut redis)
            .await?;
    }
    let letters = i64::try_from(WAYS.len() + 3)?;
    until("all that fails is given up", LIMIT, async || {
        let found: i64 = sqlx::query_scalar("select count(*) from outbox.dead_letter")
            .fetch_one(&mut administrator)
            .await?;
        let aside: i64 =
            sqlx::query_scalar("select count(*) from outbox_ops.topics where state = 'set_aside'")
                .fetch_one(&mut administrator)
                .await?;
        Ok((found == letters && aside == 1).then_some(()))
    })
    .await?;
    // The canaries did sing where they may: in the tables.
    let kept: bool =
        sqlx::query_scalar("select bool_or(error like '%' || $1 || '%') from outbox.dead_letter")
            .bind(SAID)
            .fetch_one(&mut administrator)
            .await?;
    assert!(kept, "the handler's words are not kept");
    // THEN neither says anything of them: log, pages, spans
    collector.spans_of(2, |_| true).await?;
    assert!(!collector.holds(CANARY), "a span has a canary");
    is_silent_throughout("the relay", &relay).await?;
    is_silent_throughout("the consumer", &consumer).await?;
    // AND no command, whatever it is asked; those who may read dead letters see keys
    for arguments in [
        &["status"][..],
        &["check"],
        &["config"],
        &["topic", "list"],
        &["topic", "streams"],
        &["consumer", "ls"],
        &["consumer", "show", "--group", "stock"],
        &["dead-letters", "groups"],
        &["version"],
        &[
            "consume",
            "--group",
            "stock",
            "--topic",
            "cards",
            "--call",
            "shop.nothing",
        ],
    ] {
        for form in ["text", "json"] {
            let mut arguments = arguments.to_vec();
            arguments.extend(["--output", form]);
            is_silent(&format!("{arguments:?}"), &ground.ask(&arguments)?);
        }
    }
    Ok(())
}

#[tokio::test]
async fn no_canary_is_in_what_an_observer_sees() -> Result {
    // GIVEN events, letters and an event given up by hand
    let ground = Ground::new().await?;
    let mut administrator = ground.database.connect().await?;
    let furnish = crate::hostile::FURNISH
        .replace("'c'", &format!("'{KEY}'"))
        .replace("'kc'", &format!("'k{KEY}'"))
        .replace("'x', 'f'", &format!("'{SAID}', 'f'"));
    assert!(furnish.contains(KEY) && furnish.contains(SAID));
    administrator.execute(AssertSqlSafe(furnish)).await?;
    let append =
        format!("select outbox.append('t', '\"{PAYLOAD}\"', key => '{KEY}', subject => '{SUBJECT}')");
    administrator.execute(AssertSqlSafe(append)).await?;
    // WHEN an observer reads all that it may
    let observer = ground.postgres(&format!("onlooker:{POSTGRES_PASSWORD}"));
    let mut observer = <sqlx::PgConnection as sqlx::Connection>::connect(&observer).await?;
    let readable: Vec<String> = sqlx::query_scalar(
        "select c.oid::regclass::text from pg_class c where c.relnamespace in ('outbox'::regnamespace, 'outbox_ops'::regnamespace)
         and c.relkind in ('r', 'p', 'v') and has_table_privilege(c.oid, 'select')",
    )
    .fetch_all(&mut observer)
    .await?;
    assert!(readable.len() > 30, "{readable:?}");
    // THEN there is none in any of it
    for relation in readable {
        let rows: String = sqlx::query_scalar(AssertSqlSafe(format!(
            "select coalesce(string_agg(r::text, E'\\n'), '') from {relation} r"
        )))
        .fetch_one(&mut observer)
        .await?;
        is_silent(&relation, &rows);
    }
    Ok(())
}

#[tokio::test]
async fn no_password_is_in_what_is_said_about_one_that_does_not_work() -> Result {
    let ground = Ground::new().await?;
    let good_postgres = ground.postgres(&format!("service:{POSTGRES_PASSWORD}"));
    let good_redis = ground.redis(&format!("service:{REDIS_PASSWORD}"));
    // GIVEN wrong passwords, users that are none, and addresses that cannot be read
    let cases = [
        (
            "DATABASE_URL",
            ground.postgres(&format!("service:{WRONG_PASSWORD}")),
        ),
        (
            "DATABASE_URL",
            ground.postgres(&format!("nobody:{WRONG_PASSWORD}")),
        ),
        (
            "DATABASE_URL",
            format!("postgres://service:{WRONG_PASSWORD}@127.0.0.1:notaport/d"),
        ),
        (
            "DATABASE_URL",
            format!("postgres://service:{WRONG_PASSWORD}@127.0.0.1:1/d?sslmode=odd"),
        ),
        (
            "DATABASE_URL",
            format!("host=127.0.0.1 password={WRONG_PASSWORD} port=x"),
        ),
        ("DATABASE_URL", format!("service:{WRONG_PASSWORD}@nowhere")),
        ("REDIS_URL", ground.redis(&format!("service:{WRONG_PASSWORD}"))),
        ("REDIS_URL", ground.redis(&format!("nobody:{WRONG_PASSWORD}"))),
        (
            "REDIS_URL",
            format!("redis://service:{WRONG_PASSWORD}@127.0.0.1:notaport/0"),
        ),
        (
            "REDIS_URL",
            format!("redis://service:{WRONG_PASSWORD}@127.0.0.1:1/notadatabase"),
        ),
        ("REDIS_URL", WRONG_PASSWORD.to_owned()),
    ];
    for (variable, url) in cases {
        // WHEN commands use them
        for arguments in [&["check"][..], &["status"], &["config"], &["topic", "list"]] {
            let answer = Invocation::new(arguments)?
                .set("DATABASE_URL", &good_postgres)
                .set("REDIS_URL", &good_redis)
                .set("OUTBOX_LOG_LEVEL", "trace")
                .set(variable, &url)
                .ask()?;
            // THEN what they complain of has no password in it
            let told = format!("{}{}", answer.output, answer.errors);
            is_silent(
                &format!("{arguments:?} with {variable} {}", url.replace(CANARY, "…")),
                &told,
            );
        }
    }
    // AND a relay that tries again and again says none either
    for (variable, url) in [
        (
            "DATABASE_URL",
            ground.postgres(&format!("service:{WRONG_PASSWORD}")),
        ),
        ("REDIS_URL", ground.redis(&format!("service:{WRONG_PASSWORD}"))),
    ] {
        let mut relay = Relay::of(&ground.world)
            .set("DATABASE_URL", &good_postgres)
            .set("REDIS_URL", &good_redis)
            .set("OUTBOX_LOG_LEVEL", "trace")
            .set(variable, url)
            .start()?;
        let said = until("a cause", LIMIT, async || {
            let body = relay.not_ready().await?;
            Ok(body["cause"].as_str().map(str::to_owned))
        })
        .await?;
        is_silent("/readyz", &said);
        is_silent("the log", &relay.log());
        assert_eq!(relay.terminate().await?.code(), Some(0));
    }
    Ok(())
}
