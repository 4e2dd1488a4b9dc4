//! Rebuild, release, cancel, pause, resume: one call of a function of the database each, in one transaction with its audit.

use outbox_core::ops::{self, Error};
use serde_json::json;
use sqlx::{Connection as _, PgConnection};

use super::{Build, Change, Decision, list, read, watch};
use crate::command::within;
use crate::config::Config;
use crate::connect::{self, Role};
use crate::exit::{Exit, Failure};
use crate::output::Output;

pub(super) async fn rebuild(config: &Config, build: &Build, output: Output) -> Result<Exit, Failure> {
    let Decision { name, reason } = &build.decision;
    let mut connection = connect::connection(config, Role::Command).await?;
    let number = change(config, &mut connection, async |connection| {
        ops::order_rebuild(connection, name, reason, build.accept_differences).await
    })
    .await?;
    if build.watch {
        return watched(config, connection, name, number, output).await;
    }
    connection.close().await?;
    let report = json!({ "projection": name, "rebuild": number, "state": "ordered" });
    let said = format!(
        "rebuild {number} of projection {name} is ordered: a process that runs the projection carries it out; \
         outbox-relay projection show {name} --watch shows how far it is\n"
    );
    output.write(&report, |_| said)?;
    Ok(Exit::Success)
}

pub(super) async fn release(config: &Config, build: &Build, output: Output) -> Result<Exit, Failure> {
    let Decision { name, reason } = &build.decision;
    let mut connection = connect::connection(config, Role::Command).await?;
    change(config, &mut connection, async |connection| {
        ops::release_rebuild(connection, name, reason, build.accept_differences).await
    })
    .await?;
    let number = read(config, &mut connection, name).await?["rebuild"].as_i64();
    if let (true, Some(number)) = (build.watch, number) {
        return watched(config, connection, name, number, output).await;
    }
    connection.close().await?;
    let report = json!({ "projection": name, "rebuild": number, "state": "building" });
    output.write(&report, |_| {
        format!("the rebuild of projection {name} is tried again\n")
    })?;
    Ok(Exit::Success)
}

pub(super) async fn cancel(config: &Config, decision: &Decision, output: Output) -> Result<Exit, Failure> {
    let Decision { name, reason } = decision;
    let mut connection = connect::connection(config, Role::Command).await?;
    change(config, &mut connection, async |connection| {
        ops::cancel_rebuild(connection, name, reason).await
    })
    .await?;
    connection.close().await?;
    let report = json!({ "projection": name, "state": "cancelled" });
    let said = format!(
        "the rebuild of projection {name} is cancelled: what was built is dropped, what is live stays\n"
    );
    output.write(&report, |_| said)?;
    Ok(Exit::Success)
}

pub(super) async fn pause(config: &Config, wanted: &Change, output: Output) -> Result<Exit, Failure> {
    let Decision { name, reason } = &wanted.decision;
    let mut connection = connect::connection(config, Role::Command).await?;
    let generation = generation(config, &mut connection, wanted).await?;
    let paused = change(config, &mut connection, async |connection| {
        ops::pause_subscription(connection, name, reason, generation).await
    })
    .await?;
    connection.close().await?;
    let report = json!({ "projection": name, "generation": generation, "paused": paused });
    let said = match paused {
        0 => format!("{} was paused before\n", subject(wanted)),
        _ => format!(
            "{} is paused: what is in a transaction is finished, nothing new is applied\n",
            subject(wanted)
        ),
    };
    output.write(&report, |_| said)?;
    Ok(Exit::Success)
}

pub(super) async fn resume(config: &Config, wanted: &Change, output: Output) -> Result<Exit, Failure> {
    let Decision { name, reason } = &wanted.decision;
    let mut connection = connect::connection(config, Role::Command).await?;
    let generation = generation(config, &mut connection, wanted).await?;
    let resumed = change(config, &mut connection, async |connection| {
        ops::resume_subscription(connection, name, reason, generation).await
    })
    .await?;
    connection.close().await?;
    let report = json!({ "projection": name, "generation": generation, "resumed": resumed });
    let said = match resumed {
        0 => format!("{} was not paused\n", subject(wanted)),
        _ => format!("{} goes on\n", subject(wanted)),
    };
    output.write(&report, |_| said)?;
    Ok(Exit::Success)
}

/// What is paused or resumed, for people.
fn subject(wanted: &Change) -> String {
    let name = &wanted.decision.name;
    match wanted.rebuild {
        true => format!("the rebuild of projection {name}"),
        false => format!("projection {name}"),
    }
}

/// The generation that is meant; none: all of them. Refused where nothing could be paused.
async fn generation(
    config: &Config,
    connection: &mut PgConnection,
    wanted: &Change,
) -> Result<Option<i32>, Failure> {
    let name = &wanted.decision.name;
    let row = read(config, connection, name).await?;
    let is_built = row["rebuild_state"] == "building" || row["rebuild_state"] == "held";
    let refused = |said| Err(Failure::new(Exit::Refused, said));
    match (wanted.rebuild, is_built) {
        (true, true) => Ok(row["rebuild_generation"]
            .as_i64()
            .and_then(|generation| i32::try_from(generation).ok())),
        (true, false) => refused(format!("projection {name} is not being built anew")),
        (false, _) if row["kind"] == "inline" => refused(format!(
            "projection {name} is applied in the transactions that append, and cannot be paused; --rebuild pauses what is being built"
        )),
        (false, _) => Ok(None),
    }
}

async fn watched(
    config: &Config,
    mut connection: PgConnection,
    name: &str,
    number: i64,
    output: Output,
) -> Result<Exit, Failure> {
    let (row, exit) = watch::follow(config, &mut connection, name, number).await?;
    connection.close().await?;
    output.write(&row, |row| list::page(std::slice::from_ref(row)))?;
    Ok(exit)
}

/// One transaction, also because a pooler gives the steps of a statement to several servers otherwise.
async fn change<T>(
    config: &Config,
    connection: &mut PgConnection,
    act: impl AsyncFnOnce(&mut PgConnection) -> Result<T, Error>,
) -> Result<T, Failure> {
    within(config, "Postgres", async {
        let mut transaction = connection.begin().await?;
        let done = act(&mut transaction).await?;
        transaction.commit().await?;
        Ok(done)
    })
    .await
}
