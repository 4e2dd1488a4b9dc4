//! What groups have applied that read nothing, some or all of what the database does not know: in each case what was chosen, in
//! order, once.

use sqlx::{AssertSqlSafe, Executor};
use system_tests::patience::until;
use system_tests::{Failure, Relay, Result, Schema, World};
use uuid::Uuid;

use system_tests::past::{LIMIT, Scene, TOPIC};
use xtask::servers::Postgres;

/// Groups in a database of their own, which does not go back.
pub(crate) struct Readers(World);

impl Readers {
    pub(crate) async fn new() -> Result<Self> {
        let world = World::with_schema(Schema::Inbox).await?;
        world
            .connect()
            .await?
            .execute("create table public.effect (number bigint generated always as identity, reader text, id uuid)")
            .await?;
        Ok(Self(world))
    }

    pub(crate) async fn start(&self, scene: &Scene, group: &str) -> Result<Relay> {
        let mut connection = self.0.connect().await?;
        connection
            .execute(AssertSqlSafe(format!(
                "create or replace function public.note_{group}(event json) returns void language sql as $$
                     insert into public.effect (reader, id) values ('{group}', (event ->> 'id')::uuid) $$"
            )))
            .await?;
        let call = format!("public.note_{group}");
        Relay::command(&["consume", "--group", group, "--topic", TOPIC, "--call", &call])
            .set("DATABASE_URL", self.0.database_url())
            .set("REDIS_URL", scene.world.redis_url())
            .set("OUTBOX_CONSUME_LEASE_TTL", "1s")
            .start()
    }

    /// What a group did, once it did as much.
    pub(crate) async fn effects(&self, group: &str, count: usize) -> Result<Vec<Uuid>> {
        let mut connection = self.0.connect().await?;
        let mut seen = 0;
        until("effects", LIMIT, async || {
            let ids: Vec<Uuid> =
                sqlx::query_scalar("select id from public.effect where reader = $1 order by number")
                    .bind(group)
                    .fetch_all(&mut connection)
                    .await?;
            seen = ids.len();
            Ok((seen >= count).then_some(ids))
        })
        .await
        .map_err(|failure| Failure::new(format!("{failure}: {seen} of {count} by {group}")))
    }

    /// A group that reads until it has so many, and stops.
    pub(crate) async fn read(&self, scene: &Scene, group: &str, count: usize) -> Result {
        let mut member = self.start(scene, group).await?;
        self.effects(group, count).await?;
        member.terminate().await?;
        Ok(())
    }
}

/// 20 events are known; 5 and 5 more are not. `before` has read the first, `inside` some of the others, `behind` all of them.
async fn groups_come_to(strategy: &str) -> Result {
    let readers = Readers::new().await?;
    let mut scene = Scene::new(Postgres::options()).await?;
    scene.known = scene.publish(20).await?;
    readers.read(&scene, "before", 20).await?;
    let backup = scene.world.postgres()?.back_up()?;
    let some = scene.publish(5).await?;
    readers.read(&scene, "inside", 25).await?;
    let rest = scene.publish(5).await?;
    readers.read(&scene, "behind", 30).await?;
    scene.world.postgres()?.restore(&backup)?;
    let newer = scene.append(10).await?;
    // WHEN a person chose, and everybody goes on
    scene.apply(strategy)?;
    let mut relay = scene.relay().start()?;
    relay.leads().await?;
    let last = scene.append(5).await?;
    let known = scene.known.clone();
    let stays = strategy == "trust-stream";
    let expected = |read: &[Vec<Uuid>]| [known.clone(), read.concat(), newer.clone(), last.clone()].concat();
    let both = [some.clone(), rest];
    for (group, read) in [("before", 0), ("inside", 1), ("behind", 2)] {
        let read = &both[..if stays { 2 } else { read }];
        let expected = expected(read);
        let mut member = readers.start(&scene, group).await?;
        // THEN it has each event once, and those of a key in order: there are five keys, and one lane
        readers.effects(group, expected.len()).await?;
        member.ready().await?;
        member.terminate().await?;
        // A second effect may come after the last first one.
        let effects = readers.effects(group, expected.len()).await?;
        assert_eq!(
            sorted(&effects),
            sorted(&expected),
            "{strategy}, {group}: each once"
        );
        for key in 0..5 {
            assert_eq!(
                of_key(&effects, &scene, key).await?,
                of_key(&expected, &scene, key).await?,
                "{strategy}, {group}, key {key}"
            );
        }
    }
    Ok(())
}

pub(crate) fn sorted(ids: &[Uuid]) -> Vec<Uuid> {
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    ids
}

/// The events of one key, in the order given; those that only the stream knew are looked for where they were kept.
pub(crate) async fn of_key(ids: &[Uuid], scene: &Scene, key: usize) -> Result<Vec<Uuid>> {
    let mut connection = scene.connect().await?;
    let of: Vec<Uuid> = sqlx::query_scalar(
        "select id from outbox.log where key = $1 union
         select event_id::uuid from outbox.unknown_entry where convert_from(contents[1], 'UTF8')::json ->> 'partitionkey' = $1",
    )
    .bind(format!("key-{key}"))
    .fetch_all(&mut connection)
    .await?;
    Ok(ids.iter().filter(|id| of.contains(id)).copied().collect())
}

#[tokio::test]
async fn groups_before_inside_and_behind_go_on_where_the_database_is_right() -> Result {
    groups_come_to("trust-database").await
}

#[tokio::test]
async fn groups_before_inside_and_behind_go_on_where_the_stream_is_right() -> Result {
    groups_come_to("trust-stream").await
}

#[tokio::test]
async fn groups_before_inside_and_behind_go_on_where_everything_is_put_out_again() -> Result {
    groups_come_to("republish").await
}

#[tokio::test]
async fn a_group_before_the_beginning_of_the_stream_is_served_where_everything_is_put_out_again() -> Result {
    // GIVEN a group that read the first 5 of 20 events, and a stream that lost all but the last 5 of them
    let readers = Readers::new().await?;
    let mut scene = Scene::new(Postgres::options()).await?;
    scene.known = scene.publish(5).await?;
    readers.read(&scene, "behindhand", 5).await?;
    let more = scene.publish(15).await?;
    scene.known.extend(more);
    let backup = scene.world.postgres()?.back_up()?;
    scene.publish(5).await?;
    scene.world.postgres()?.restore(&backup)?;
    let first = scene.entries().await?[15].id.to_string();
    redis::cmd("XTRIM")
        .arg(&["outbox:orders.placed", "MINID", &first])
        .query_async::<()>(&mut scene.redis)
        .await?;
    // WHEN everything is put out again, THEN it has each event once, in order, and waits for nothing
    scene.apply("republish")?;
    let mut relay = scene.relay().start()?;
    relay.leads().await?;
    let newer = scene.append(3).await?;
    let expected = [scene.known.clone(), newer].concat();
    let mut member = readers.start(&scene, "behindhand").await?;
    let effects = readers.effects("behindhand", expected.len()).await?;
    assert_eq!(sorted(&effects), sorted(&expected), "each once");
    for key in 0..5 {
        assert_eq!(
            of_key(&effects, &scene, key).await?,
            of_key(&expected, &scene, key).await?,
            "key {key}"
        );
    }
    let mut connection = scene.connect().await?;
    let reissues: i64 = sqlx::query_scalar("select count(*) from outbox.batch where kind = 'reissue'")
        .fetch_one(&mut connection)
        .await?;
    assert_eq!(reissues, 0, "nothing had to be asked for");
    member.terminate().await?;
    Ok(())
}
