//! Groups that stand where their inbox does not.

use sqlx::Executor;
use system_tests::Result;
use system_tests::arrival::{backlog, stream_of};

use crate::scene::{LIMIT, Scene, TOPIC};

#[tokio::test]
async fn a_group_whose_database_went_back_is_set_back_to_what_that_knows() -> Result {
    // GIVEN a group that passed two batches, and a copy of its database from between
    let mut scene = Scene::new(None).await?;
    let topics = [TOPIC.to_owned()];
    let _relay = scene.relay().await?;
    let mut journal = backlog(&scene.world, &topics, 1, 30, 10).await?;
    scene.join("reader").await?;
    scene.effects("reader", 30).await?;
    scene
        .until("select passed_entry = (select last_entry from outbox_ops.topics) from outbox_ops.inbox")
        .await?;
    scene.leave("reader").await?;
    scene
        .postgres
        .execute(
            "create table public.copied_inbox as select * from outbox.inbox;
             create table public.copied_stream as select * from outbox.consumer_stream;
             create table public.copied_effect as select * from public.effect",
        )
        .await?;
    journal.merge(backlog(&scene.world, &topics, 2, 30, 10).await?);
    scene.join("reader").await?;
    scene.effects("reader", 90).await?;
    scene.leave("reader").await?;
    // WHEN the copy is put in its place
    scene
        .postgres
        .execute(
            "set session_replication_role = replica;
             delete from outbox.inbox; insert into outbox.inbox select * from public.copied_inbox;
             delete from public.effect; insert into public.effect (consumer, id) select consumer, id from public.copied_effect order by number;
             update outbox.consumer_stream s set passed_batch = c.passed_batch, passed_position = c.passed_position
             from public.copied_stream c where c.consumer = s.consumer and c.stream = s.stream;
             set session_replication_role = origin",
        )
        .await?;
    scene.join("reader").await?;
    // THEN it is delivered again at once what it lacks, and has everything once in order
    let done = scene.effects("reader", 90).await?;
    scene
        .member("reader")
        .logs("the group stands beyond what its inbox knows", LIMIT)
        .await?;
    assert!(
        scene
            .member("reader")
            .metric("outbox_consume_groups_set_back_total")
            .await?
            >= 1.0
    );
    scene.nothing_is_missed().await?;
    assert_eq!(
        scene.value::<i64>("select count(*) from outbox.reissue").await?,
        0
    );
    system_tests::Witness::new(&journal)
        .effects("reader", &[TOPIC], done)
        .verdict()
        .clean()
}

#[tokio::test]
async fn a_group_beyond_the_end_of_its_stream_is_set_back() -> Result {
    // GIVEN a group that somebody set far ahead
    let mut scene = Scene::new(None).await?;
    let topics = [TOPIC.to_owned()];
    let _relay = scene.relay().await?;
    let mut journal = backlog(&scene.world, &topics, 1, 30, 10).await?;
    scene.join("reader").await?;
    scene.effects("reader", 30).await?;
    scene.leave("reader").await?;
    scene
        .ask(&["XGROUP", "SETID", &stream_of(TOPIC), "reader", "9999999999999-0"])
        .await?;
    // WHEN it goes on THEN it is delivered what comes, and what it had not again
    scene.join("reader").await?;
    journal.merge(backlog(&scene.world, &topics, 1, 30, 10).await?);
    let done = scene.effects("reader", 60).await?;
    scene
        .member("reader")
        .logs("the group stands beyond what its inbox knows", LIMIT)
        .await?;
    assert!(
        scene
            .member("reader")
            .metric("outbox_consume_groups_set_back_total")
            .await?
            >= 1.0
    );
    system_tests::Witness::new(&journal)
        .effects("reader", &[TOPIC], done)
        .verdict()
        .clean()
}
