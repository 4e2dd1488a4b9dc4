//! A rebuild, one look at a time: its tables are made, it is put in the place of the live one, or cleared away.
//!
//! Whatever cannot be done holds it, with what was said: a person mends the cause and releases it, or cancels it. The live tables go on.

use std::sync::Arc;

use super::catalogue::next_schema;
use super::definition::Projection;
use super::pg::{self, PgPool, Rebuild, Seen};
use super::run::is_race;
use super::switch::switch;
use crate::event_store::subscription::{Error, Subscription};
use crate::verdict::Verdict;

/// Does what is next for a rebuild, if there is one.
///
/// # Errors
/// When the database does not answer. What a person must mend is told in the rebuild.
pub(super) async fn forward(
    pool: &PgPool,
    subscription: &Subscription,
    projection: &Arc<dyn Projection>,
    seen: &Seen,
) -> Result<(), Error> {
    let name = subscription.name();
    let Some(rebuild) = &seen.rebuild else {
        return Ok(());
    };
    let outcome = match rebuild.state.as_str() {
        "ordered" => prepare(pool, name, projection, rebuild).await,
        "building" if !rebuild.has_schema => prepare(pool, name, projection, rebuild).await,
        "building" => switch(pool, subscription, projection, seen, rebuild)
            .await
            .map(drop),
        "cancelled" => clear(pool, name, rebuild).await,
        _ => Ok(()),
    };
    match outcome {
        Err(error) if error.verdict() == Verdict::Retry || is_race(&error) => Err(error),
        // What was cancelled and cannot be cleared away holds nothing up.
        Err(error) if rebuild.state == "cancelled" => {
            tracing::error!(projection = name, rebuild = rebuild.number, %error, "what was built of a cancelled rebuild cannot be dropped");
            Ok(())
        }
        Err(error) => hold(pool, name, rebuild, &error).await,
        outcome => outcome,
    }
}

/// A person decides about it.
pub(super) async fn hold(pool: &PgPool, name: &str, rebuild: &Rebuild, why: &Error) -> Result<(), Error> {
    tracing::warn!(projection = name, rebuild = rebuild.number, error = %why, "a rebuild is held: a person decides");
    let said = format!("{why}. Mend it and release the rebuild (outbox.release_rebuild), or cancel it");
    pg::hold_rebuild(pool, rebuild.number, &said).await
}

/// The tables that are to be filled anew, once.
async fn prepare(
    pool: &PgPool,
    name: &str,
    projection: &Arc<dyn Projection>,
    rebuild: &Rebuild,
) -> Result<(), Error> {
    let refused = |said: String| {
        Err(Error::Projection {
            name: name.to_owned(),
            said,
        })
    };
    let next = next_schema(name);
    let mut tx = pg::begin(pool).await?;
    pg::hold(&mut tx, name).await?;
    let schema = pg::schema_state(&mut tx, &next, name, rebuild.generation).await?;
    match schema.made_for {
        // Another process was first.
        Some(generation) if generation == rebuild.generation => return Ok(()),
        // Left over from one that was cancelled before it began.
        Some(_) => pg::drop_next(&mut tx, name).await?,
        None if schema.is_there => {
            return refused(format!(
                "it would be built anew in schema {next}, which is there and is not its own: drop or rename that"
            ));
        }
        None => {}
    }
    if schema.has_events {
        return refused(format!(
            "events were applied to its new tables, and schema {next} is gone: cancel the rebuild and order another"
        ));
    }
    pg::start_rebuild(&mut tx, rebuild.number).await?;
    pg::make_schema(&mut tx, &next, (name, rebuild.generation), projection).await?;
    pg::commit(tx).await
}

/// What was cancelled goes.
async fn clear(pool: &PgPool, name: &str, rebuild: &Rebuild) -> Result<(), Error> {
    let mut tx = pg::begin(pool).await?;
    pg::hold(&mut tx, name).await?;
    let schema = pg::schema_state(&mut tx, &next_schema(name), name, rebuild.generation).await?;
    if schema.made_for == Some(rebuild.generation) {
        pg::drop_next(&mut tx, name).await?;
    }
    pg::drop_generation(&mut tx, name, rebuild.generation).await?;
    pg::commit(tx).await
}
