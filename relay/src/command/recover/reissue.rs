//! `outbox-relay recover reissue`: a topic's streams are put out again from a place on. The leading relay does it, since only its
//! tail writes the ledger: this writes an order and waits for the answer.

use std::time::{Duration, Instant};

use clap::Args;
use outbox_core::ops::{self, ReissueOrder};
use serde_json::{Map, Value, json};
use sqlx::{Connection as _, PgConnection};

use crate::command::within;
use crate::config::Config;
use crate::connect::{self, Role};
use crate::exit::{Exit, Failure};
use crate::output::{Output, cell, table};

/// The leader looks every second; counting what is behind the place may take longer.
const ANSWER_LIMIT: Duration = Duration::from_secs(120);
/// How often it is looked whether it has answered.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// From where on, and why.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The topic
    #[arg(long)]
    topic: String,
    /// Only this partition of it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..1024))]
    partition: Option<i32>,
    /// From where on: an entry id (1795233600000-41) or a time (2026-11-20T12:00:00Z)
    #[arg(long, value_name = "PLACE")]
    from: String,
    /// Up to where it is missed; everything behind the first entry is put out again all the same
    #[arg(long, value_name = "PLACE")]
    to: Option<String>,
    /// Why, for the audit
    #[arg(long)]
    reason: String,
    /// Really
    #[arg(long)]
    yes: bool,
}

pub(super) async fn run(config: &Config, arguments: &Arguments, output: Output) -> Result<Exit, Failure> {
    let mut connection = connect::connection(config, Role::Command).await?;
    let order = ReissueOrder {
        topic: &arguments.topic,
        partition: arguments.partition,
        from: &arguments.from,
        to: arguments.to.as_deref(),
        is_preview: !arguments.yes,
        reason: &arguments.reason,
    };
    let numbers = within(config, "Postgres", async {
        Ok(ops::order_reissue(&mut connection, &order).await?)
    })
    .await?;
    let answers = answers(config, &mut connection, &numbers).await?;
    connection.close().await?;
    let report = json!({ "topic": arguments.topic, "done": arguments.yes, "streams": answers });
    output.write(&report, |_| text(&answers))?;
    let refused = answers
        .iter()
        .filter(|answer| answer["state"] == "refused")
        .count();
    match (refused, arguments.yes) {
        (0, true) => Ok(Exit::Success),
        (0, false) => Err(Failure::new(
            Exit::Refused,
            "nothing was done; give --yes to do it. Groups that had these events know them by their ids, and apply none twice",
        )),
        (refused, true) if refused < answers.len() => Err(Failure::new(
            Exit::Partial,
            format!("{refused} of {} streams were refused: see ANSWER", answers.len()),
        )),
        (refused, _) => Err(Failure::new(
            Exit::Refused,
            format!(
                "{refused} of {} streams refused: see ANSWER; nothing of them was put out again",
                answers.len()
            ),
        )),
    }
}

/// Waits until the leading relay has answered all of them.
async fn answers(
    config: &Config,
    connection: &mut PgConnection,
    numbers: &[i64],
) -> Result<Vec<Map<String, Value>>, Failure> {
    let deadline = Instant::now() + ANSWER_LIMIT;
    loop {
        let seen = within(config, "Postgres", async {
            Ok(ops::reissue_orders(connection, numbers).await?)
        })
        .await?;
        if seen.iter().all(|order| order["state"] != "waiting") {
            return Ok(seen);
        }
        if Instant::now() >= deadline {
            return Err(Failure::error(format!(
                "no relay answered within {} s: the leading relay does this, so look whether one leads (outbox-relay status). \
                 The order stays, and is carried out when one does; outbox_ops.reissue_orders shows it",
                ANSWER_LIMIT.as_secs()
            )));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn text(answers: &[Map<String, Value>]) -> String {
    const COLUMNS: [&str; 8] = [
        "number", "stream", "state", "kept", "wanted", "events", "removed", "answer",
    ];
    let rows: Vec<Vec<String>> = answers
        .iter()
        .map(|row| COLUMNS.iter().map(|column| cell(row, column)).collect())
        .collect();
    let mut text = table(
        &COLUMNS.map(str::to_uppercase).each_ref().map(String::as_str),
        &rows,
    );
    text.push_str(
        "\nKEPT: the entry that stays in front. WANTED: events between the two ends. EVENTS: what is put out again, under new ids: \
         everything behind KEPT, also what is still there. REMOVED: what stood there too, and was truncated or buried in the event store.\n",
    );
    text
}
