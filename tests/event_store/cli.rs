//! `outbox-relay stream`: what people and scripts see of streams, and append to them.

use serde_json::{Value, json};
use system_tests::{Answer, Invocation, Result, World};

fn ask(world: &World, arguments: &[&str]) -> Result<Answer> {
    let mut line = vec!["stream"];
    line.extend(arguments);
    Invocation::of(world, &line)?.ask()
}

fn asked(world: &World, arguments: &[&str]) -> Result<Value> {
    let mut line = arguments.to_vec();
    line.extend(["--output", "json"]);
    let answer = ask(world, &line)?;
    assert_eq!(answer.code, 0, "{arguments:?}: {}", answer.errors);
    answer.json()
}

#[tokio::test]
async fn streams_are_appended_to_listed_and_read() -> Result {
    let world = World::new().await?;
    let id = "11111111-1111-1111-1111-111111111111";
    let placed = [
        "append",
        "order-1",
        "--type",
        "order.placed",
        "--expected",
        "none",
        "--data",
        r#"{"item": "tea"}"#,
        "--topic",
        "orders",
        "--tag",
        "customer:1",
        "--id",
        id,
    ];
    let first = asked(&world, &placed)?;
    assert_eq!(
        (&first["outcome"], &first["version"]),
        (&json!("appended"), &json!(1))
    );
    // The same command again appends nothing.
    let again = asked(&world, &placed)?;
    assert_eq!(again["outcome"], "already appended");
    assert_eq!(again["position"], first["position"]);
    for (stream, expected) in [("order-1", "1"), ("order-2", "any"), ("account-1", "0")] {
        asked(
            &world,
            &["append", stream, "--type", "seen", "--expected", expected],
        )?;
    }
    // A conflict is refused, with the version it is at.
    let late = ask(
        &world,
        &["append", "order-1", "--type", "late", "--expected", "1"],
    )?;
    assert_eq!(late.code, 4, "{}", late.errors);
    assert!(
        late.errors
            .contains("is at version 2, and version 1 was expected"),
        "{}",
        late.errors
    );

    let names = |listed: &Value| -> Vec<String> {
        let rows = listed.as_array().cloned().unwrap_or_default();
        rows.iter()
            .map(|row| format!("{}@{}", row["stream"].as_str().unwrap_or(""), row["version"]))
            .collect()
    };
    assert_eq!(
        names(&asked(&world, &["ls"])?),
        ["account-1@1", "order-1@2", "order-2@1"]
    );
    assert_eq!(
        names(&asked(&world, &["ls", "order"])?),
        ["order-1@2", "order-2@1"]
    );
    assert_eq!(
        names(&asked(&world, &["ls", "--behind", "order-1", "--max", "1"])?),
        ["order-2@1"]
    );
    assert!(names(&asked(&world, &["ls", "nothing"])?).is_empty());

    let read = asked(&world, &["read", "order-1"])?;
    assert_eq!(read["version"], 2);
    let event = &read["events"][0];
    assert_eq!(
        (&event["id"], &event["type"], &event["topic"]),
        (&json!(id), &json!("order.placed"), &json!("orders"))
    );
    assert_eq!(
        (&event["data"], &event["tags"]),
        (&json!({ "item": "tea" }), &json!(["customer:1"]))
    );
    let newest = asked(&world, &["read", "order-1", "--backward", "--max", "1"])?;
    assert_eq!(
        (
            newest["events"].as_array().map(Vec::len),
            &newest["events"][0]["version"]
        ),
        (Some(1), &json!(2))
    );
    let page = ask(&world, &["read", "order-1"])?;
    assert!(
        page.output.contains("order.placed") && page.output.contains(r#"{"item": "tea"}"#),
        "{}",
        page.output
    );
    Ok(())
}

#[tokio::test]
async fn streams_are_read_across_and_gone_on_from_where_it_ended() -> Result {
    let world = World::new().await?;
    for (stream, name) in [
        ("order-1", "placed"),
        ("cart-1", "filled"),
        ("order-2", "placed"),
        ("order-1", "paid"),
    ] {
        asked(&world, &["append", stream, "--type", name, "--expected", "any"])?;
    }
    let names = |read: &Value| -> Vec<String> {
        let events = read["events"].as_array().cloned().unwrap_or_default();
        events
            .iter()
            .map(|event| format!("{}@{}", event["stream"].as_str().unwrap_or(""), event["version"]))
            .collect()
    };
    let orders = ["read", "--category", "order", "--max", "2"];
    let first = asked(&world, &orders)?;
    assert_eq!(names(&first), ["order-1@1", "order-2@1"]);
    assert_eq!(first["is_end"], false);
    let cursor = first["cursor"].as_str().unwrap_or("");
    let rest = asked(&world, &[&orders[..], &["--cursor", cursor]].concat())?;
    assert_eq!(names(&rest), ["order-1@2"]);
    assert_eq!(rest["is_end"], true);
    // What came since.
    asked(
        &world,
        &["append", "order-3", "--type", "placed", "--expected", "any"],
    )?;
    let cursor = rest["cursor"].as_str().unwrap_or("");
    let since = asked(&world, &[&orders[..], &["--cursor", cursor]].concat())?;
    assert_eq!(names(&since), ["order-3@1"]);
    let newest = asked(&world, &["read", "--all", "--backward", "--max", "2"])?;
    assert_eq!(names(&newest), ["order-3@1", "order-1@2"]);
    let paid = asked(&world, &["read", "--all", "--type", "paid", "--type", "filled"])?;
    assert_eq!(names(&paid), ["cart-1@1", "order-1@2"]);
    // For people: the rows, and how to go on.
    let page = ask(&world, &["read", "--all", "--max", "1"])?;
    assert!(
        page.output.contains("order-1") && page.output.contains("There is more. What follows: --cursor '1/"),
        "{}",
        page.output
    );
    // A cursor of another read says so.
    let other = ask(&world, &["read", "--all", "--cursor", cursor])?;
    assert_eq!(other.code, 1, "{}", other.errors);
    assert!(
        other.errors.contains("other categories or types"),
        "{}",
        other.errors
    );
    Ok(())
}

#[tokio::test]
async fn what_is_wrong_is_said() -> Result {
    let world = World::new().await?;
    for (line, code, part) in [
        (&["read", "order-1"][..], 3, "there is no stream order-1"),
        (&["read", "order"], 2, "must be <category>-<id>"),
        (&["read"], 2, "required"),
        (&["read", "order-1", "--all"], 2, "cannot be used with"),
        (&["read", "--all", "--from", "2"], 2, "cannot be used with"),
        (&["read", "--all", "--cursor", "7"], 2, "does not begin with 1/"),
        (&["append", "order-1", "--type", "a"], 2, "--expected"),
        (
            &["append", "order-1", "--type", "a", "--expected", "x"],
            2,
            "must be a version, none, exists, or any",
        ),
        (
            &["append", "order-1", "--type", "a b", "--expected", "any"],
            1,
            "type: must be 1 to 200",
        ),
        (
            &[
                "append",
                "order-1",
                "--type",
                "a",
                "--expected",
                "any",
                "--data",
                "{",
            ],
            1,
            "data: must be valid JSON",
        ),
        (
            &["read", "order-1", "--until", "yesterday"],
            2,
            "2026-01-31T12:00:00Z",
        ),
    ] {
        let answer = ask(&world, line)?;
        assert_eq!(answer.code, code, "{line:?}: {}", answer.errors);
        assert!(answer.errors.contains(part), "{line:?}: {}", answer.errors);
    }
    Ok(())
}
