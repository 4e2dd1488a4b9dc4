//! One consumer group whose members are of both versions, and what it did.

use std::path::Path;

use sqlx::{Executor, PgConnection};
use system_tests::journal::{Journal, Outcome};
use system_tests::patience::until;
use system_tests::{Relay, Result, Witness, World, login};
use uuid::Uuid;

use crate::LIMIT;

const NAME: &str = "stock";

/// The group's side of the database.
pub(crate) struct Group {
    connection: PgConnection,
    topics: Vec<String>,
}

impl Group {
    pub(crate) async fn open(world: &World, topics: &[String]) -> Result<Self> {
        let mut connection = world.connect().await?;
        // The database was made empty, and its roles by the older version.
        login::make(&mut connection).await?;
        login::open_public(&mut connection).await?;
        connection
            .execute(
                "create table public.effect (n bigint generated always as identity, id uuid);
                 create function public.note(event json) returns void language sql as
                     $$ insert into public.effect (id) values ((event ->> 'id')::uuid) $$",
            )
            .await?;
        Ok(Self {
            connection,
            topics: topics.to_vec(),
        })
    }

    /// A member of the version of this binary, or of this one.
    pub(crate) fn member(&self, world: &World, binary: Option<&Path>, name: &str) -> Result<Relay> {
        let mut line = vec![
            "consume",
            "--group",
            NAME,
            "--call",
            "public.note",
            "--member",
            name,
        ];
        for topic in &self.topics {
            line.extend(["--topic", topic]);
        }
        let options = Relay::command(&line)
            .set("DATABASE_URL", world.database_url())
            .set("REDIS_URL", world.redis_url())
            .set("OUTBOX_CONSUME_LEASE_TTL", "1s");
        match binary {
            Some(binary) => options.binary(binary).start(),
            None => options.start(),
        }
    }

    /// Waits until each of these applies streams, and nobody else does.
    pub(crate) async fn is_shared_by(&mut self, names: &[&str]) -> Result {
        let connection = &mut self.connection;
        until(
            &format!("{names:?} share the streams"),
            LIMIT,
            async || {
                let holders: Vec<String> = sqlx::query_scalar(
                    "select distinct coalesce(holder, '') from outbox.consumer_lease where consumer = $1 and expires_at > clock_timestamp() order by 1",
                )
                .bind(NAME)
                .fetch_all(&mut *connection)
                .await?;
                Ok((holders == names).then_some(()))
            },
        )
        .await
    }

    /// Waits until everything has had its effect, and judges: each once, each key in its order.
    pub(crate) async fn judge(mut self, journal: &Journal) -> Result {
        let committed = i64::try_from(journal.count(Outcome::Committed))?;
        let connection = &mut self.connection;
        until("every effect", LIMIT, async || {
            let effects: i64 = sqlx::query_scalar("select count(*) from public.effect")
                .fetch_one(&mut *connection)
                .await?;
            Ok((effects >= committed).then_some(()))
        })
        .await?;
        let effects: Vec<Uuid> = sqlx::query_scalar("select id from public.effect order by n")
            .fetch_all(connection)
            .await?;
        let topics: Vec<&str> = self.topics.iter().map(String::as_str).collect();
        let verdict = Witness::new(journal).effects(NAME, &topics, effects).verdict();
        println!("the group: {verdict}");
        verdict.clean()
    }
}
