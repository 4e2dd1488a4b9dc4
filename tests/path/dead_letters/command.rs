//! The commands for dead letters: nothing without `--yes`, nothing for all without `--all`, and exit codes that scripts rely on.

use std::time::Duration;

use serde_json::{Value, json};
use system_tests::{Answer, Failure, Invocation, Login, Relay, Result};

use super::desk::Desk;

/// Nothing on a test machine takes this long.
const LIMIT: Duration = Duration::from_secs(120);
const REASON: [&str; 2] = ["--reason", "mended in 1.4"];

fn ask(desk: &Desk, arguments: &[&str]) -> Result<Answer> {
    Invocation::of(&desk.world, arguments)?.ask()
}

/// The same, as JSON; the exit code must be this.
fn report(desk: &Desk, arguments: &[&str], code: i32) -> Result<Value> {
    let answer = ask(desk, &[arguments, &["--output", "json"]].concat())?;
    if answer.code != code {
        return Err(Failure::new(format!(
            "{arguments:?} ended with {}: {}{}",
            answer.code, answer.output, answer.errors
        )));
    }
    answer.json()
}

/// Asks, and is the consumer meanwhile: puts back and applies until the command ends.
async fn ask_and_consume(desk: &Desk, arguments: &[&str], poison: &[i64]) -> Result<Answer> {
    let invocation = Invocation::of(&desk.world, arguments)?;
    let mut asked = tokio::task::spawn_blocking(move || invocation.ask());
    loop {
        tokio::select! {
            ended = &mut asked => return ended?,
            consumed = async {
                let running: Vec<i64> = sqlx::query_scalar("select number from outbox.operation where state = 'running'")
                    .fetch_all(&desk.pool)
                    .await?;
                for operation in running {
                    desk.release(operation).await?;
                }
                desk.drain(poison).await
            } => { consumed?; }
        }
    }
}

#[tokio::test]
async fn dead_letters_are_found_by_group_and_shown_whole() -> Result {
    // GIVEN three letters of two causes, one with events behind it
    let desk = Desk::new().await?;
    desk.run("select die(1, 'a'); select arrive(2, 'a'); select die(3, 'b'); select die(4, 'c', error => 'disk full', class => '53100')")
        .await?;
    // WHEN the groups are asked for, THEN the largest comes first
    let groups = report(&desk, &["dead-letters", "groups"], 0)?;
    assert_eq!(
        (
            &groups[0]["letters"],
            &groups[0]["waiting_events"],
            &groups[1]["error_class"]
        ),
        (&json!(2), &json!(1), &json!("53100"))
    );
    let group = groups[0]["fingerprint"].as_str().unwrap_or_default();
    // AND its letters are listed by it, page by page
    let listed = report(&desk, &["dead-letters", "list", "--group", group], 0)?;
    let numbers: Vec<&Value> = listed
        .as_array()
        .into_iter()
        .flatten()
        .map(|letter| &letter["number"])
        .collect();
    assert_eq!(numbers, [&json!(1), &json!(2)]);
    let page = ask(&desk, &["dead-letters", "list", "--limit", "1"])?;
    assert!(page.errors.contains("--past 1"), "{}", page.errors);
    let next = report(&desk, &["dead-letters", "list", "--limit", "5", "--past", "1"], 0)?;
    assert_eq!(next.as_array().map(Vec::len), Some(2));
    // AND one is shown with its event, its error and its attempts, by number or by event
    for id in ["1", "event-1"] {
        let shown = report(&desk, &["dead-letters", "show", id], 0)?;
        assert_eq!(shown[0]["event"]["data"]["price"].to_string(), "1.1");
        assert_eq!(
            (&shown[0]["error"], &shown[0]["history"][0]["number"]),
            (&json!("no such item"), &json!(3))
        );
    }
    let page = ask(&desk, &["dead-letters", "show", "1"])?.output;
    for part in [
        "its key waits for it, with 1 later event",
        "no such item",
        "\"price\":1.10",
        "ATTEMPTS",
    ] {
        assert!(page.contains(part), "{part} in {page}");
    }
    let missing = ask(&desk, &["dead-letters", "show", "4711"])?;
    assert!(
        missing.code == 1 && missing.errors.contains("4711"),
        "{}",
        missing.errors
    );
    // AND status and check tell of them
    let status = ask(&desk, &["status"])?;
    assert!(
        status.output.contains("DEAD LETTERS") && status.output.contains(group),
        "{}",
        status.output
    );
    let check = Invocation::of(&desk.world, &["check"])?
        .set("DATABASE_URL", desk.world.log().url_of(Login::Observer))
        .ask()?;
    assert!(
        check.output.contains("3 in 2 groups, 1 later events wait"),
        "{}",
        check.output
    );
    Ok(())
}

#[tokio::test]
async fn nothing_is_done_that_was_not_asked_for_in_so_many_words() -> Result {
    // GIVEN letters of two consumers
    let desk = Desk::new().await?;
    desk.run("select die(1, 'a'); select arrive(2, 'a'); select die(3, 'b', consumer => 'audit')")
        .await?;
    // WHEN a command leaves something out, THEN it is refused with a sentence that says what, and an example or the way on
    let before = ["--consumer", "stock", "--before", "2999-01-01"];
    let (redrive_before, discard_before) = (
        [&["redrive"], &before[..]].concat(),
        [&["discard"], &before[..]].concat(),
    );
    let (redrive_now, discard_now) = (
        [&redrive_before[..], &["--yes"]].concat(),
        [&discard_before[..], &["--yes"]].concat(),
    );
    let cases: [(&[&str], i32, &[&str]); 14] = [
        // A time that leaves nothing out is no selection either, in the preview as in what it previews.
        (
            &redrive_before,
            4,
            &["every dead letter of consumer stock", "--all"],
        ),
        (
            &discard_before,
            4,
            &["every dead letter of consumer stock", "--all"],
        ),
        (&redrive_now, 4, &["every dead letter of consumer stock", "--all"]),
        (&discard_now, 4, &["every dead letter of consumer stock", "--all"]),
        (
            &["discard", "--all", "--yes"],
            4,
            &["audit, stock", "--consumer audit"],
        ),
        (&["redrive"], 4, &["every dead letter", "--all", "--group"]),
        (
            &["redrive", "--consumer", "stock"],
            4,
            &["every dead letter of consumer stock"],
        ),
        (&["discard"], 4, &["--all"]),
        (&["redrive", "--key", "a"], 4, &["--yes"]),
        (
            &["redrive", "--all", "--yes"],
            4,
            &["audit, stock", "--consumer audit"],
        ),
        (&["discard", "--key", "a"], 4, &["--yes"]),
        (
            &["redrive", "--key", "z", "--yes"],
            1,
            &["no dead letter matches", "groups"],
        ),
        (
            &["discard", "--key", "z", "--yes"],
            1,
            &["no dead letter matches"],
        ),
        (
            &["redrive", "--key", "a", "--rate", "fast"],
            2,
            &["--rate", "0.5/s"],
        ),
    ];
    for (arguments, code, parts) in cases {
        let answer = ask(&desk, &[&["dead-letters"], arguments, &REASON].concat())?;
        assert_eq!(answer.code, code, "{arguments:?}: {}", answer.errors);
        for part in parts {
            assert!(answer.errors.contains(part), "{part} in {}", answer.errors);
        }
    }
    assert_eq!(
        ask(&desk, &["dead-letters", "redrive", "--key", "a", "--yes"])?.code,
        2,
        "no reason"
    );
    // AND what would happen was said
    let asked = ask(
        &desk,
        &[&["dead-letters", "redrive", "--key", "a"], &REASON[..]].concat(),
    )?;
    for part in [
        "1 letter would go back",
        "of 1 key: a",
        "1 parked event of these keys would go along",
        "no member of the consumer runs now",
    ] {
        assert!(asked.output.contains(part), "{part} in {}", asked.output);
    }
    let told = report(
        &desk,
        &[&["dead-letters", "redrive", "--key", "a"], &REASON[..]].concat(),
        4,
    )?;
    assert_eq!(
        (&told["preview"][0]["followers"], &told["operation"]),
        (&json!(1), &Value::Null)
    );
    // AND nothing was written
    let written: i64 = desk
        .value(
            "select (select count(*) from outbox.operation) + (select count(*) from outbox.consumer_audit)",
        )
        .await?;
    assert_eq!(written, 0);
    Ok(())
}

#[tokio::test]
async fn a_redrive_is_watched_to_its_end() -> Result {
    // GIVEN two letters, of which one will die again
    let desk = Desk::new().await?;
    desk.run("select die(1, 'a'); select arrive(2, 'a'); select die(3, 'b')")
        .await?;
    // WHEN they are put back, with a consumer at work
    let line = [
        &[
            "dead-letters",
            "redrive",
            "--all",
            "--yes",
            "--consumer",
            "stock",
            "--output",
            "json",
        ],
        &REASON[..],
    ]
    .concat();
    let answer = ask_and_consume(&desk, &line, &[3]).await?;
    // THEN the exit code says that not all of it is done, and so does the report
    assert_eq!(answer.code, 5, "{}", answer.errors);
    let operation = &answer.json()?["operation"];
    assert_eq!(
        (&operation["applied"], &operation["dead"], &operation["state"]),
        (&json!(1), &json!(1), &json!("finished"))
    );
    assert!(answer.errors.contains("1 letter died again"), "{}", answer.errors);
    assert_eq!(desk.effects().await?, [1, 2]);
    // AND after mending the rest goes through
    let line = [&["dead-letters", "redrive", "--key", "b", "--yes"], &REASON[..]].concat();
    let answer = ask_and_consume(&desk, &line, &[]).await?;
    assert_eq!(answer.code, 0, "{}", answer.errors);
    assert!(
        answer.output.contains("1 of 1 done (1 applied"),
        "{}",
        answer.output
    );
    assert_eq!(desk.effects().await?, [1, 2, 3]);
    Ok(())
}

#[tokio::test]
async fn a_watcher_that_is_stopped_leaves_the_operation_at_work() -> Result {
    // GIVEN a redrive that somebody watches
    let desk = Desk::new().await?;
    desk.run("select die(1, 'a')").await?;
    let line = [&["dead-letters", "redrive", "--key", "a", "--yes"], &REASON[..]].concat();
    let mut watcher = Relay::command(&line)
        .set("DATABASE_URL", desk.world.database_url())
        .start()?;
    watcher.logs("operation 1 runs", LIMIT).await?;
    // WHEN the watcher is stopped
    let status = watcher.terminate().await?;
    // THEN it says so, how to cancel, and that not all is done
    assert_eq!(status.code(), Some(5));
    assert!(
        watcher.log().contains("outbox-relay operation cancel 1"),
        "{}",
        watcher.log()
    );
    // AND the operation goes on without it
    let shown = report(&desk, &["operation", "show", "1"], 0)?;
    assert_eq!(shown["state"], "running");
    desk.release(1).await?;
    desk.drain(&[]).await?;
    desk.release(1).await?;
    assert_eq!(ask(&desk, &["operation", "show", "1", "--watch"])?.code, 0);
    Ok(())
}

#[tokio::test]
async fn operations_are_listed_cancelled_and_resumed() -> Result {
    // GIVEN a redrive that nobody waits for
    let desk = Desk::new().await?;
    desk.run("select die(1, 'a'); select die(2, 'b')").await?;
    let line = [
        &[
            "dead-letters",
            "redrive",
            "--all",
            "--consumer",
            "stock",
            "--yes",
            "--detach",
            "--rate",
            "0.001/s",
        ],
        &REASON[..],
    ]
    .concat();
    let begun = report(&desk, &line, 0)?;
    assert_eq!(
        (&begun["operation"]["waiting"], &begun["operation"]["rate"]),
        (&json!(2), &json!(0.001))
    );
    // WHEN it is cancelled
    let cancelled = report(&desk, &["operation", "cancel", "1", "--reason", "too early"], 0)?;
    assert_eq!(cancelled["state"], "cancelled");
    // THEN it cannot be cancelled again, an unknown one not at all, and the list shows it
    let again = ask(&desk, &["operation", "cancel", "1", "--reason", "too early"])?;
    assert!(
        again.code == 4 && again.errors.contains("operation 1 is cancelled"),
        "{}",
        again.errors
    );
    let unknown = ask(&desk, &["operation", "show", "9"])?;
    assert!(
        unknown.code == 1 && unknown.errors.contains("operation ls"),
        "{}",
        unknown.errors
    );
    let listed = ask(&desk, &["operation", "ls"])?.output;
    assert!(
        listed.contains("cancelled") && listed.contains("mended in 1.4"),
        "{listed}"
    );
    // AND resumed it is under way again
    let resumed = report(
        &desk,
        &["operation", "resume", "1", "--reason", "now", "--detach"],
        0,
    )?;
    assert_eq!(resumed["state"], "running");
    Ok(())
}

#[tokio::test]
async fn a_letter_is_edited_from_a_file_and_others_are_discarded() -> Result {
    // GIVEN two letters, one with events behind it, and a file with other data
    let desk = Desk::new().await?;
    desk.run("select die(1, 'a'); select die(2, 'b'); select arrive(3, 'b')")
        .await?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("order.json");
    std::fs::write(&file, "{\"number\": 1, \"price\": 2.50}\n")?;
    let from_file = format!("@{}", file.display());
    let edit = |id: &str, data: &str, yes: &[&str]| {
        ask(
            &desk,
            &[
                &["dead-letters", "edit", id, "--data", data, "--reason", "a typo"],
                yes,
            ]
            .concat(),
        )
    };
    // WHEN the data is no JSON, is not there, or it was not confirmed, THEN nothing is edited
    let broken = edit("1", "{price: 2}", &["--yes"])?;
    assert!(
        broken.code == 2 && broken.errors.contains("--data @order.json"),
        "{}",
        broken.errors
    );
    assert_eq!(edit("1", "@/nowhere/order.json", &["--yes"])?.code, 2);
    let asked = edit("event-1", &from_file, &[])?;
    assert!(
        asked.code == 4 && asked.output.contains("would have 28 bytes"),
        "{}{}",
        asked.output,
        asked.errors
    );
    assert_eq!(
        desk.value::<i64>("select count(edited_at) from outbox.dead_letter")
            .await?,
        0
    );
    // WHEN it was, THEN it is, and shown beside what came
    let edited = edit("event-1", &from_file, &["--yes"])?;
    assert_eq!(edited.code, 0, "{}", edited.errors);
    let shown = report(&desk, &["dead-letters", "show", "1"], 0)?;
    assert_eq!(shown[0]["edited_event"]["data"]["price"], json!(2.5));
    assert_eq!(shown[0]["event"]["data"]["price"], json!(1.1));
    // WHEN another is given up
    let discarded = report(
        &desk,
        &[
            "dead-letters",
            "discard",
            "--key",
            "b",
            "--reason",
            "test data",
            "--yes",
        ],
        0,
    )?;
    // THEN what waited behind it goes on
    assert_eq!(
        (&discarded["discarded"], &discarded["preview"][0]["followers"]),
        (&json!(1), &json!(1))
    );
    desk.drain(&[]).await?;
    assert_eq!(desk.effects().await?, [3]);
    let given_up = report(&desk, &["dead-letters", "list", "--state", "discarded"], 0)?;
    assert_eq!(given_up[0]["number"], json!(2));
    Ok(())
}

#[tokio::test]
async fn an_export_is_one_json_document_per_line() -> Result {
    // GIVEN letters, one of which is no event
    let desk = Desk::new().await?;
    desk.run(
        "select die(n, 'a', holds => false) from generate_series(1, 3) n;
         insert into outbox.dead_letter (consumer, stream, entry_id, flow, lane, entry_fields, error_class, error, error_kind, attempts, first_failed_at)
         values ('stock', 'outbox:orders.placed', '1-9', 'orders.placed', 'e1-9', array['event'::bytea, '\\xff'::bytea], 'unreadable', 'no JSON', 'unreadable', 1, now())",
    )
    .await?;
    // WHEN they are exported to standard output and to a file
    let exported = ask(&desk, &["dead-letters", "export"])?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("letters.ndjson");
    let path = file.display().to_string();
    let to_file = ask(&desk, &["dead-letters", "export", "--to", &path])?;
    // THEN both have a line for each, with the event, or the bytes of what is none
    assert_eq!(
        (exported.code, to_file.code),
        (0, 0),
        "{}{}",
        exported.errors,
        to_file.errors
    );
    assert_eq!(exported.output, std::fs::read_to_string(&file)?);
    let lines: Vec<Value> = exported
        .output
        .lines()
        .map(serde_json::from_str)
        .collect::<std::result::Result<_, _>>()?;
    assert_eq!(lines.len(), 4);
    assert_eq!(
        (&lines[0]["event"]["id"], &lines[0]["history"][0]["error"]),
        (&json!("event-1"), &json!("no such item"))
    );
    assert_eq!(lines[3]["fields"][0]["value_base64"], "/w==");
    assert!(
        exported.errors.contains("4 dead letters written"),
        "{}",
        exported.errors
    );
    // AND a file that is there is not written over
    let again = ask(&desk, &["dead-letters", "export", "--to", &path])?;
    assert!(
        again.code == 2 && again.errors.contains("--to"),
        "{}",
        again.errors
    );
    Ok(())
}
