//! The example of orders, as people run it: on the file that is made up, with lines that are no orders.

use std::process::{Command, Stdio};

use system_tests::{Failure, Result, relay};

/// What the file has that is no order, by line. The file says so: these were put there on purpose.
const BAD: [(u64, &str); 8] = [
    (6, "4 fields, and the first line has 8"),
    (14, "\"lost\" is none that is known"),
    (21, "order_purchase_timestamp: must be a time"),
    (28, "order_approved_at: must be a time"),
    (35, "order_id is empty"),
    (42, "is shipped, and there is a time for delivered"),
    (50, "is that of line 2"),
    (59, "order_purchase_timestamp is empty"),
];

#[tokio::test]
async fn every_projection_is_what_sql_counts_in_the_file_and_bad_lines_are_named() -> Result {
    let program = relay::binary()?.with_file_name("orders");
    if !program.is_file() {
        return Err(Failure::new(format!(
            "{} is not there: build it first: cargo build -p outbox-examples --bins",
            program.display()
        )));
    }
    let ended = tokio::task::spawn_blocking(move || {
        Command::new(program)
            .stdin(Stdio::null())
            .env_remove("DATABASE_URL")
            .output()
    })
    .await??;
    let (text, errors) = (
        String::from_utf8(ended.stdout)?,
        String::from_utf8_lossy(&ended.stderr),
    );
    assert_eq!(ended.status.code(), Some(5), "{errors}\n{text}");
    assert!(text.ends_with("PASS\n"), "{errors}\n{text}");
    let named: Vec<&str> = text.lines().filter(|line| line.contains("is no order")).collect();
    assert_eq!(named.len(), BAD.len(), "{text}");
    for (said, (line, why)) in named.iter().zip(BAD) {
        assert!(
            said.contains(&format!("line {line} ")) && said.contains(why),
            "{said}"
        );
    }
    let right = text.lines().filter(|line| line.starts_with('✓')).count();
    assert_eq!(right, 16, "{text}");
    Ok(())
}
