//! Pausing, resuming, claiming, passing a hole and forgetting: one call of a function of the database each, in one transaction with its audit.

use outbox_core::consume::{Error, operate};
use serde_json::json;
use sqlx::{Connection as _, PgConnection};

use super::{Forget, PassHole};
use crate::command::within;
use crate::config::Config;
use crate::connect::{self, Role};
use crate::exit::{Exit, Failure};
use crate::output::Output;

pub(super) async fn pause(
    config: &Config,
    group: &str,
    reason: &str,
    output: Output,
) -> Result<Exit, Failure> {
    change(config, async |connection| {
        operate::pause(connection, group, reason).await
    })
    .await?;
    let report = json!({ "consumer": group, "state": "paused" });
    let said = format!("consumer {group} is paused: what is in hand is finished, nothing new is applied\n");
    output.write(&report, |_| said)?;
    Ok(Exit::Success)
}

pub(super) async fn resume(
    config: &Config,
    group: &str,
    reason: &str,
    output: Output,
) -> Result<Exit, Failure> {
    let since = change(config, async |connection| {
        operate::resume(connection, group, reason).await
    })
    .await?;
    let report = json!({ "consumer": group, "state": "resumed", "paused_since": since.to_string() });
    output.write(&report, |_| {
        format!("consumer {group} goes on; it was paused since {since}\n")
    })?;
    Ok(Exit::Success)
}

pub(super) async fn claim(
    config: &Config,
    group: &str,
    stream: &str,
    reason: &str,
    output: Output,
) -> Result<Exit, Failure> {
    let claimed =
        async |connection: &mut PgConnection| operate::claim(connection, group, stream, reason).await;
    let former = change(config, claimed).await?;
    let report = json!({ "consumer": group, "stream": stream, "former_holder": former });
    let said = format!(
        "stream {stream} is taken away from member {former}: the next member that looks takes it; if that is {former} \
         again, stop that process\n"
    );
    output.write(&report, |_| said)?;
    Ok(Exit::Success)
}

pub(super) async fn pass_hole(config: &Config, what: &PassHole, output: Output) -> Result<Exit, Failure> {
    let (group, stream, held) = (&what.group, &what.stream, &what.entry);
    if !what.yes {
        return Err(Failure::new(
            Exit::Refused,
            format!(
                "consumer {group} would apply entry {held} of stream {stream} without what is missing before it, and never get that; \
                 first see in outbox_ops.holes, in the relay's database, whether it is being put out again; give --yes to do it"
            ),
        ));
    }
    let passed = change(config, async |connection: &mut PgConnection| {
        operate::pass_hole(connection, group, stream, held, &what.reason).await
    })
    .await?;
    let report = json!({ "consumer": group, "stream": stream, "entry": held, "passed": passed });
    let said = format!(
        "consumer {group} goes on with entry {held} of stream {stream} within seconds; what was between {} and it is given up\n",
        passed.as_deref().unwrap_or("the beginning")
    );
    output.write(&report, |_| said)?;
    Ok(Exit::Success)
}

pub(super) async fn forget(config: &Config, what: &Forget, output: Output) -> Result<Exit, Failure> {
    let group = &what.group;
    if !what.yes {
        return Err(Failure::new(
            Exit::Refused,
            format!(
                "nothing more would be kept for consumer {group}: days of the inbox would no longer stay for it. If it comes back after \
                 all, it goes on where it was, and what is older than the ids that are remembered then becomes dead letters, as too \
                 old. outbox-relay consumer show --group {group} says what it needs now; give --yes to do it"
            ),
        ));
    }
    let given_up = change(config, async |connection: &mut PgConnection| {
        operate::forget(connection, group, &what.reason, what.give_up).await
    })
    .await?;
    let report = json!({ "consumer": group, "given_up": given_up });
    let said = format!(
        "nothing more is kept for consumer {group}; {given_up} event(s) that waited are given up. Streams wait for it until \
         outbox-relay topic forget-group says that they need not\n"
    );
    output.write(&report, |_| said)?;
    Ok(Exit::Success)
}

/// One transaction, also because a pooler gives the steps of a statement to several servers otherwise.
async fn change<T>(
    config: &Config,
    act: impl AsyncFnOnce(&mut PgConnection) -> Result<T, Error>,
) -> Result<T, Failure> {
    let mut connection = connect::connection(config, Role::Command).await?;
    let done = within(config, "Postgres", async {
        let mut transaction = connection.begin().await?;
        let done = act(&mut transaction).await?;
        transaction.commit().await?;
        Ok(done)
    });
    let done = done.await?;
    connection.close().await?;
    Ok(done)
}
