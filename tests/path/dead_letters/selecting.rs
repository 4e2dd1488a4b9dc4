//! Which letters a filter means, and what a preview says about them.

use futures_util::TryStreamExt;
use outbox_core::dead_letter::{self, Filter, Kind, Page, Preview, State};
use system_tests::Result;
use time::macros::datetime;

use super::desk::{Desk, of_key, refused};

/// Five letters that differ in everything a filter knows.
const LETTERS: &str = "
    select die(1, 'a');
    select die(2, 'b', error => 'no such customer', kind => 'poison', class => 'P0007');
    select die(3, 'c', holds => false, topic => 'orders.placed@north');
    select die(4, null, topic => 'orders.paid');
    select die(5, 'a', consumer => 'audit', holds => false, error => 'disk full');
    update outbox.dead_letter set dead_at = '2020-11-01Z' where number = 2;";

async fn numbers(desk: &Desk, filter: &Filter) -> Result<Vec<i64>> {
    let mut connection = desk.pool.acquire().await?;
    let page = Page { after: 0, most: 100 };
    let found = dead_letter::list(&mut connection, filter, &[State::Dead], page).await?;
    Ok(found.iter().map(|letter| letter.number).collect())
}

async fn preview(desk: &Desk, filter: &Filter) -> Result<Vec<Preview>> {
    let mut connection = desk.pool.acquire().await?;
    Ok(dead_letter::preview(&mut connection, filter).await?)
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[tokio::test]
async fn each_part_of_a_filter_selects_what_it_says() -> Result {
    // GIVEN letters that differ
    let desk = Desk::new().await?;
    desk.run(LETTERS).await?;
    let later = datetime!(2020-11-02 00:00 UTC);
    let group = desk
        .value::<String>("select fingerprint from outbox.dead_letter where number = 2")
        .await?;
    let none = Filter::default;
    let cases = [
        (none(), vec![1, 2, 3, 4, 5]),
        (
            Filter {
                consumer: some("audit"),
                ..none()
            },
            vec![5],
        ),
        (Filter::numbers([1, 4]), vec![1, 4]),
        (
            Filter {
                ids: vec!["event-2".to_owned()],
                numbers: vec![1],
                ..none()
            },
            vec![1, 2],
        ),
        (Filter::group(group), vec![2]),
        (of_key("a"), vec![1, 5]),
        (
            Filter {
                topic: some("orders.placed"),
                ..none()
            },
            vec![1, 2, 3, 5],
        ),
        (
            Filter {
                topic: some("orders.placed@north"),
                ..none()
            },
            vec![3],
        ),
        (
            Filter {
                stream: some("outbox:orders.paid"),
                ..none()
            },
            vec![4],
        ),
        (
            Filter {
                r#type: some("orders.paid"),
                ..none()
            },
            vec![4],
        ),
        (
            Filter {
                error_class: some("P0007"),
                ..none()
            },
            vec![2],
        ),
        (
            Filter {
                error_kind: Some(Kind::Poison),
                ..none()
            },
            vec![2],
        ),
        (
            Filter {
                dead_before: Some(later),
                ..none()
            },
            vec![2],
        ),
        (
            Filter {
                dead_after: Some(later),
                consumer: some("stock"),
                ..none()
            },
            vec![1, 3, 4],
        ),
        (
            Filter {
                consumer: some("'; drop table outbox.dead_letter; --"),
                ..none()
            },
            vec![],
        ),
    ];
    // WHEN each is asked for
    for (filter, expected) in cases {
        // THEN it finds those and no others
        assert_eq!(numbers(&desk, &filter).await?, expected, "{filter:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_filter_that_is_none_is_refused_by_name() -> Result {
    // GIVEN filters that a person may write in SQL
    let desk = Desk::new().await?;
    for (filter, word) in [
        (r#"{"kex": "a"}"#, "kex is unknown"),
        (r#"{"key": 7}"#, "key must be a text"),
        (r#"{"numbers": 7}"#, "numbers must be a list"),
        (r#"{"error_kind": "sad"}"#, "error_kind is one of"),
        (r#"["key"]"#, "a filter is a JSON object"),
        (r#"{"dead_before": "noon"}"#, "noon"),
    ] {
        // WHEN one is used
        let select = sqlx::query("select outbox.select_dead_letters($1::text::jsonb)").bind(filter);
        let outcome = select.fetch_all(&desk.pool).await;
        // THEN the refusal names it
        let error = outcome.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains(word), "{filter}: {error}");
    }
    Ok(())
}

#[tokio::test]
async fn everything_is_selected_only_when_said_and_only_for_one_consumer() -> Result {
    // GIVEN letters of two consumers
    let desk = Desk::new().await?;
    desk.run(LETTERS).await?;
    let mut connection = desk.pool.acquire().await?;
    let of_consumer = Filter {
        consumer: some("stock"),
        ..Filter::default()
    };
    // WHEN all are to go back or to be given up, unsaid
    for filter in [&Filter::default(), &of_consumer] {
        let redriven = dead_letter::redrive(&mut connection, filter, "mended", None, false).await;
        assert_eq!(refused(redriven)?.0, "22023");
        let discarded = dead_letter::discard(&mut connection, filter, "useless", false).await;
        assert_eq!(refused(discarded)?.0, "22023");
    }
    // THEN it is refused, and said it is still not done for two consumers at once
    let (code, said) =
        refused(dead_letter::redrive(&mut connection, &Filter::default(), "mended", None, true).await)?;
    assert_eq!(code, "22023");
    assert!(said.contains("audit, stock"), "{said}");
    let discarded = dead_letter::discard(&mut connection, &Filter::default(), "useless", true).await;
    let (code, said) = refused(discarded)?;
    assert!(code == "22023" && said.contains("audit, stock"), "{said}");
    assert_eq!(
        desk.value::<i64>("select count(*) from outbox.operation").await?,
        0
    );
    // AND for one consumer it is
    let operation = dead_letter::redrive(&mut connection, &of_consumer, "mended", None, true).await?;
    assert_eq!(desk.operation(operation).await?.total, 4);
    Ok(())
}

#[tokio::test]
async fn without_a_reason_or_a_match_nothing_is_begun() -> Result {
    // GIVEN one letter
    let desk = Desk::new().await?;
    desk.run("select die(1, 'a')").await?;
    let mut connection = desk.pool.acquire().await?;
    // WHEN the reason is missing, nothing matches, or the rate is none
    let calls = [
        (of_key("a"), " ", None, "22023"),
        (of_key("b"), "mended", None, "P0002"),
        (of_key("a"), "mended", Some(0.0), "22023"),
        (of_key("a"), "mended", Some(f64::NAN), "22023"),
    ];
    for (filter, reason, rate, expected) in calls {
        let (code, said) =
            refused(dead_letter::redrive(&mut connection, &filter, reason, rate, false).await)?;
        assert_eq!(code, expected, "{said}");
    }
    // THEN nothing is written
    let written: i64 = desk
        .value(
            "select (select count(*) from outbox.operation) + (select count(*) from outbox.consumer_audit)",
        )
        .await?;
    assert_eq!(written, 0);
    Ok(())
}

#[tokio::test]
async fn a_preview_counts_letters_keys_and_followers_and_says_what_may_surprise() -> Result {
    // GIVEN a key that waits, one that went on, an event without key, one behind another's letter, and some to leave out
    let desk = Desk::new().await?;
    desk.run(
        "select die(1, 'a'); select arrive(2, 'a'); select arrive(3, 'a');
         select die(4, 'b', holds => false);
         select die(5, null);
         select die(6, 'c', holds => false); select die(7, 'c');
         select die(8, 'd', kind => 'too_old', holds => false);
         insert into outbox.dead_letter (consumer, stream, entry_id, flow, lane, entry_fields, error_class, error, error_kind, attempts, first_failed_at)
         values ('stock', 'outbox:orders.placed', '1-9', 'orders.placed', 'e1-9', array['event'::bytea, 'x'::bytea], 'unreadable', 'no JSON', 'unreadable', 1, now());
         update outbox.dead_letter set recorded_at = now() - case when id = 'event-4' then interval '40 days' else '0' end",
    )
    .await?;
    // WHEN a redrive of all but the letter of event 7 is previewed
    let seen = preview(&desk, &Filter::numbers([1, 2, 3, 4, 6, 7])).await?;
    // THEN it says what would happen to each
    let seen = &seen[0];
    assert_eq!((seen.consumer.as_str(), seen.letters, seen.keys), ("stock", 4, 3));
    assert_eq!(seen.some_keys, ["a", "b", "c"]);
    assert_eq!((seen.followers, seen.behind_others, seen.keys_gone_on), (2, 1, 1));
    assert_eq!(seen.older_than_inbox, 1);
    assert_eq!(
        (seen.left_unreadable, seen.left_too_old, seen.left_going),
        (1, 1, 0)
    );
    assert_eq!((seen.members, seen.is_paused), (0, false));
    // AND what is on its way already is left out of the next one
    desk.redrive(&of_key("a")).await?;
    let seen = preview(&desk, &of_key("a")).await?;
    assert_eq!((seen[0].letters, seen[0].left_going), (0, 1));
    Ok(())
}

#[tokio::test]
async fn groups_put_together_what_died_of_the_same() -> Result {
    // GIVEN five letters of three causes, one of them of another consumer, and events behind one
    let desk = Desk::new().await?;
    desk.run(LETTERS).await?;
    desk.run("select arrive(10, 'a'); select arrive(11, 'a'); update outbox.dead_letter set state = 'discarded' where number = 4").await?;
    // WHEN the groups are looked at
    let mut connection = desk.pool.acquire().await?;
    let groups = dead_letter::groups(&mut connection, &Filter::default(), 10).await?;
    // THEN each has its letters that wait for a person, and what waits behind them
    let seen: Vec<_> = groups
        .iter()
        .map(|group| {
            (
                group.consumer.as_str(),
                group.error_class.as_str(),
                group.letters,
                group.keys,
                group.held_keys,
                group.waiting_events,
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            ("stock", "handler", 2, 2, 1, 2),
            ("audit", "handler", 1, 1, 0, 0),
            ("stock", "P0007", 1, 1, 1, 0)
        ]
    );
    let of_type = Filter {
        error_class: some("P0007"),
        ..Filter::default()
    };
    assert_eq!(dead_letter::groups(&mut connection, &of_type, 10).await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn an_export_gives_every_letter_whole() -> Result {
    // GIVEN more letters than an export reads at once, one of them with bytes that are no event
    let desk = Desk::new().await?;
    desk.run(
        "select die(n, 'key ' || n % 7) from generate_series(1, 1203) n;
         insert into outbox.dead_letter (consumer, stream, entry_id, flow, lane, entry_fields, error_class, error, error_kind, attempts, first_failed_at)
         values ('stock', 'outbox:orders.placed', '1-9999', 'orders.placed', 'e1-9999', array['event'::bytea, '\\xff00'::bytea], 'unreadable', 'no JSON', 'unreadable', 1, now());",
    )
    .await?;
    // WHEN all are exported
    let mut connection = desk.pool.acquire().await?;
    let letters: Vec<_> = dead_letter::export(&mut connection, &Filter::default(), &[State::Dead])
        .try_collect()
        .await?;
    // THEN each is there once, in order, with its event, its error and its attempts
    let numbers: Vec<i64> = letters.iter().map(|letter| letter.summary.number).collect();
    assert_eq!(numbers, (1..=1204).collect::<Vec<_>>());
    let event = letters[6]
        .event()
        .map_err(|error| system_tests::Failure::new(error.to_string()))?;
    assert_eq!(
        (event.id.as_str(), event.key.as_deref()),
        ("event-7", Some("key 0"))
    );
    assert_eq!(letters[6].history[0].error, "no such item");
    assert!(letters[1203].event().is_err());
    assert_eq!(letters[1203].fields, [(b"event".to_vec(), vec![0xff, 0])]);
    Ok(())
}
