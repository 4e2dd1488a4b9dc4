//! `projection ls` and `projection show`.

use outbox_core::ops;
use sqlx::Connection as _;

use super::{Row, read, watch};
use crate::command::within;
use crate::config::Config;
use crate::connect::{self, Role};
use crate::exit::{Exit, Failure};
use crate::output::{Output, cell, table};

pub(super) async fn list(config: &Config, output: Output) -> Result<Exit, Failure> {
    let mut connection = connect::connection(config, Role::Report).await?;
    let asked = async { Ok(ops::projections(&mut connection, None).await?) };
    let rows = within(config, "Postgres", asked).await?;
    connection.close().await?;
    output.write(&rows, |rows| page(rows))?;
    Ok(Exit::Success)
}

pub(super) async fn show(
    config: &Config,
    name: &str,
    is_watched: bool,
    output: Output,
) -> Result<Exit, Failure> {
    let mut connection = connect::connection(config, Role::Report).await?;
    let mut row = read(config, &mut connection, name).await?;
    let mut exit = Exit::Success;
    if is_watched {
        let Some(number) = row["rebuild"].as_i64() else {
            return Err(Failure::new(
                Exit::Refused,
                format!("projection {name} was never built anew: there is nothing to watch"),
            ));
        };
        (row, exit) = watch::follow(config, &mut connection, name, number).await?;
    }
    connection.close().await?;
    output.write(&row, |row| page(std::slice::from_ref(row)))?;
    Ok(exit)
}

/// A table, and below it what is said of rebuilds.
pub(super) fn page(rows: &[Row]) -> String {
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let share = row["rebuilt_share"]
                .as_f64()
                .map_or_else(String::new, |share| format!("{:.0} %", share * 100.0));
            vec![
                cell(row, "projection"),
                cell(row, "kind"),
                cell(row, "generation"),
                cell(row, "state"),
                cell(row, "lag_events"),
                cell(row, "rebuild_state"),
                share,
                cell(row, "rebuild_reason"),
            ]
        })
        .collect();
    let mut text = table(
        &[
            "PROJECTION",
            "KIND",
            "GENERATION",
            "STATE",
            "LAG",
            "REBUILD",
            "DONE",
            "REASON",
        ],
        &cells,
    );
    for row in rows.iter().filter(|row| row["rebuild_said"].is_string()) {
        text.push_str(&format!(
            "\n{}, rebuild {}: {}\n",
            cell(row, "projection"),
            cell(row, "rebuild"),
            cell(row, "rebuild_said")
        ));
    }
    text
}
