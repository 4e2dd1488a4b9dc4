//! Every statement of the library can be started by the role whose work it is, and that role alone: rights of tables, columns,
//! sequences and functions are looked at when a statement starts, whatever its parameters are. So a grant that is missing on a way
//! that is hardly ever taken is found here, by name.
//!
//! What functions of triggers and functions that run with their owner's rights do inside is shown where they run.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use sqlx::{AssertSqlSafe, Executor, PgConnection};
use system_tests::{Failure, Result};

use crate::ground::Ground;

/// Who runs what is in a folder, if nothing else is said.
const STAGES: [(&str, &str); 11] = [
    ("append", "producer"),
    ("event_store", "reader"),
    ("subscription", "subscriber"),
    ("projection", "subscriber"),
    ("tail", "relay"),
    ("publish", "relay"),
    ("consume", "consumer"),
    ("dead_letter", "operator"),
    ("ops", "observer"),
    ("trace", "observer"),
    ("recover", "maintainer"),
];

/// Who runs these instead.
const OTHERS: [(&str, &[&str]); 6] = [
    (
        "producer",
        &[
            "event_store/append",
            "event_store/append_if",
            "event_store/append_stored",
            "event_store/find_appended",
            "event_store/hold_subject_key",
            "event_store/keep_snapshot",
        ],
    ),
    // Upkeep takes this role for itself.
    (
        "maintainer",
        &[
            "event_store/archive_stream",
            "event_store/forget_subject",
            "event_store/restore_stream",
            "event_store/retire_master_key",
            "event_store/rewrap_subject_key",
            "event_store/stale_subject_keys",
            "event_store/tombstone_stream",
            "event_store/truncate_stream",
            "tail/read_upkeep",
            "tail/settle_anew",
            "ops/forget_group",
            "ops/order_reissue",
            "ops/resume_topic",
            "ops/set_stream",
            "ops/set_topic",
            "ops/skip_event",
        ],
    ),
    (
        "operator",
        &[
            "consume/claim_stream",
            "consume/count_finished",
            "consume/drain_seized",
            "consume/find_finished",
            "consume/forget_consumer",
            "consume/forget_events",
            "consume/inbox_tables",
            "consume/keep_seized",
            "consume/pass_hole",
            "consume/pause_consumer",
            "consume/preview_seek",
            "consume/release_seized",
            "consume/resume_consumer",
            "consume/seek_stream",
            "consume/seize_stream",
            "ops/cancel_rebuild",
            "ops/order_rebuild",
            "ops/pause_subscription",
            "ops/release_rebuild",
            "ops/resume_subscription",
            "trace/said",
        ],
    ),
    ("consumer", &["dead_letter/enter", "dead_letter/settle"]),
    ("observer", &["event_store/list_master_keys"]),
    (
        "relay",
        &[
            "ops/causes",
            "ops/read_backlog",
            "ops/read_lag",
            "ops/waiting_transactions",
        ],
    ),
];

/// Where the server cannot tell the type of a parameter from the text alone, as the library tells it.
const TYPES: [(&str, usize, &str); 2] = [
    ("consume/enter_inbox_foreign", 9, "timestamptz"),
    ("consume/enter_inbox_foreign", 10, "timestamptz"),
];

struct Statement {
    /// Folder and name.
    name: String,
    text: String,
}

fn statements() -> Result<Vec<Statement>> {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../outbox-core/queries"));
    let mut found = Vec::new();
    for stage in fs::read_dir(folder)? {
        let stage = stage?;
        for file in fs::read_dir(stage.path())? {
            let path = file?.path();
            let name = path
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            found.push(Statement {
                name: format!("{}/{name}", stage.file_name().to_string_lossy()),
                text: fs::read_to_string(&path)?,
            });
        }
    }
    Ok(found)
}

impl Statement {
    fn role(&self) -> Result<&'static str> {
        let other = OTHERS
            .iter()
            .find(|(_, names)| names.contains(&self.name.as_str()));
        let stage = STAGES
            .iter()
            .find(|(stage, _)| self.name.starts_with(&format!("{stage}/")));
        other
            .map(|(role, _)| *role)
            .or(stage.map(|(_, role)| *role))
            .ok_or_else(|| Failure::new(format!("whose work is {}? Say so in this file", self.name)))
    }

    fn parameters(&self) -> usize {
        let numbers = self.text.split('$').skip(1).filter_map(|rest| {
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            digits.parse().ok()
        });
        numbers.max().unwrap_or(0)
    }

    /// Starts it, without running it; what the server refuses it with.
    async fn start(&self, connection: &mut PgConnection) -> Result<Option<String>> {
        let count = self.parameters();
        let kind = |number: usize| {
            let known = TYPES
                .iter()
                .find(|(name, at, _)| *name == self.name && *at == number);
            known.map_or("unknown", |(.., kind)| kind)
        };
        let in_brackets = |words: Vec<&str>| match count {
            0 => String::new(),
            _ => format!("({})", words.join(", ")),
        };
        let (kinds, nulls) = (
            in_brackets((1..=count).map(kind).collect()),
            in_brackets(vec!["null"; count]),
        );
        let text = self.text.trim().trim_end_matches(';');
        let script = format!("begin; prepare it{kinds} as {text}\n; explain execute it{nulls}");
        let outcome = sqlx::raw_sql(AssertSqlSafe(script))
            .execute(&mut *connection)
            .await;
        connection.execute("rollback; deallocate all").await?;
        Ok(outcome.err().map(|error| error.to_string()))
    }
}

#[tokio::test]
async fn every_statement_can_be_started_by_the_one_role_whose_work_it_is() -> Result {
    // GIVEN every statement, and a login for each role that is a member of nothing else
    let ground = Ground::new().await?;
    let statements = statements()?;
    assert!(statements.len() > 150, "only {} statements", statements.len());
    let roles: BTreeSet<&str> = statements.iter().map(Statement::role).collect::<Result<_>>()?;
    let mut refused = Vec::new();
    for role in roles {
        let mut connection = ground.connect(role).await?;
        // WHEN it starts them THEN none is refused
        for statement in &statements {
            if statement.role()? != role {
                continue;
            }
            if let Some(why) = statement.start(&mut connection).await? {
                refused.push(format!("{} as {role}: {why}", statement.name));
            }
        }
    }
    assert!(refused.is_empty(), "{}", refused.join("\n"));
    // AND nothing that is named here is gone
    for (_, names) in OTHERS {
        for name in names {
            assert!(
                statements.iter().any(|statement| statement.name == *name),
                "{name}"
            );
        }
    }
    Ok(())
}
