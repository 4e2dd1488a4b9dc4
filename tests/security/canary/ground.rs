//! Two servers that want passwords, a service whose handlers fail in every way, and events that are somebody's business.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use system_tests::patience::until;
use system_tests::relay::RelayOptions;
use system_tests::{Answer, Database, Invocation, Relay, Result, Schema, World, stream};
use xtask::servers::{Postgres, Redis};

pub(super) const LIMIT: Duration = Duration::from_secs(120);

pub(super) const POSTGRES_PASSWORD: &str = "canary-of-postgres";
pub(super) const REDIS_PASSWORD: &str = "canary-of-redis";
pub(super) const PAYLOAD: &str = "canary-card-4711";
pub(super) const KEY: &str = "canary-customer-0815";
pub(super) const SUBJECT: &str = "canary-subject";
pub(super) const EXTENSION: &str = "canary-extension";
/// What a handler says when it fails.
pub(super) const SAID: &str = "canary-said";

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
pub(super) const WAYS: [&str; 7] = ["said", "unique", "check", "null", "number", "json", "statement"];

/// Both servers want passwords of everybody but the test itself.
pub(super) struct Ground {
    pub(super) database: Database,
    pub(super) world: World,
    folder: tempfile::TempDir,
}

impl Ground {
    pub(super) async fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        // The server runs under an account of its own.
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755))?;
        let rules = folder.path().join("pg_hba.conf");
        std::fs::write(
            &rules,
            // A base backup is a replication connection, which `all` does not mean.
            "host all,replication postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n",
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

    pub(super) fn postgres(&self, user_and_password: &str) -> String {
        let login = format!("//{user_and_password}@");
        self.database.url().replacen("//postgres@", &login, 1)
    }

    pub(super) fn redis(&self, user_and_password: &str) -> String {
        let login = format!("//{user_and_password}@");
        self.world.redis_url().replacen("//", &login, 1)
    }

    /// Someone who may look, and at nothing that is an event's.
    pub(super) async fn onlooker(&self) -> Result<PgConnection> {
        Ok(PgConnection::connect(&self.postgres(&format!("onlooker:{POSTGRES_PASSWORD}"))).await?)
    }

    fn file(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text)?;
        Ok(path)
    }

    /// A relay with its passwords in the environment.
    pub(super) fn relay(&self) -> RelayOptions {
        Relay::of(&self.world)
            .set(
                "DATABASE_URL",
                self.postgres(&format!("service:{POSTGRES_PASSWORD}")),
            )
            .set("REDIS_URL", self.redis(&format!("service:{REDIS_PASSWORD}")))
            .set("OUTBOX_LOG_LEVEL", "trace")
            .set("OUTBOX_PUBLISH_MAX_ENTRY_BYTES", "2 KiB")
    }

    /// A consumer with its passwords in files.
    pub(super) fn consumer(&self) -> Result<RelayOptions> {
        let arguments = [
            "consume",
            "--group",
            "stock",
            "--topic",
            "cards",
            "--call",
            "shop.apply",
        ];
        Ok(Relay::command(&arguments)
            .set("DATABASE_URL", self.postgres("service"))
            .set(
                "REDIS_URL",
                self.redis("service:").replacen("service:@", "service@", 1),
            )
            .set(
                "OUTBOX_POSTGRES_PASSWORD_FILE",
                self.file("postgres", POSTGRES_PASSWORD)?.display(),
            )
            .set(
                "OUTBOX_REDIS_PASSWORD_FILE",
                self.file("redis", REDIS_PASSWORD)?.display(),
            )
            .set("OUTBOX_LOG_LEVEL", "trace")
            .set("OUTBOX_CONSUME_ATTEMPTS", 2)
            .set("OUTBOX_CONSUME_BACKOFF_MIN", "10ms")
            .set("OUTBOX_CONSUME_BACKOFF_MAX", "10ms"))
    }

    /// A command whose passwords come from the environment.
    pub(super) fn ask(&self, arguments: &[&str]) -> Result<Answer> {
        self.ask_as("service", arguments)
    }

    /// The same, as another user of the database.
    pub(super) fn ask_as(&self, user: &str, arguments: &[&str]) -> Result<Answer> {
        Invocation::new(arguments)?
            .set(
                "DATABASE_URL",
                self.postgres(&format!("{user}:{POSTGRES_PASSWORD}")),
            )
            .set("REDIS_URL", self.redis(&format!("service:{REDIS_PASSWORD}")))
            .set("OUTBOX_LOG_LEVEL", "trace")
            .ask()
    }

    /// An event that a handler takes in this way, with so many cards in it; its id.
    pub(super) async fn append(
        &self,
        connection: &mut PgConnection,
        topic: &str,
        how: &str,
        cards: i32,
    ) -> Result<String> {
        let id = sqlx::query_scalar(
            "select outbox.append($1, json_build_object('how', $2, 'card', repeat($3, $4)), key => $5 || $2, subject => $6,
                                  extensions => json_build_object('shade', $7, 'traceparent', '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'))::text",
        )
        .bind(topic)
        .bind(how)
        .bind(PAYLOAD)
        .bind(cards)
        .bind(KEY)
        .bind(SUBJECT)
        .bind(EXTENSION)
        .fetch_one(connection)
        .await?;
        Ok(id)
    }

    /// Waits until so many entries are on the stream of the cards.
    pub(super) async fn published(&self, count: u64) -> Result {
        let mut redis = self.world.redis().await?;
        until("the events are published", LIMIT, async || {
            let length = stream::length(&mut redis, "outbox:cards").await?;
            Ok((length == count).then_some(()))
        })
        .await
    }
}
