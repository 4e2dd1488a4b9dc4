//! Putting what was built anew in the place of what is live: both at the same snapshot, compared, renamed, in one transaction.

use std::sync::Arc;

use super::catalogue::{name_problem, old_schema};
use super::compare::differences;
use super::definition::{Applied, Projection};
use super::pg::{self, PgPool, Rebuild, Seen};
use crate::event_store;
use crate::event_store::subscription::catch_up::CatchUp;
use crate::event_store::subscription::{Error, Subscription};

/// So many events are applied by the switch itself, while everybody waits for it.
const NEAR_EVENTS: i64 = 500;
const LIVE_IS_BEHIND: &str = "it has caught up; the live one has many events before it, and is waited for: both are brought to the same events before they are compared";
const LIVE_IS_PAUSED: &str = "the live one is paused, and both are brought to the same events before they are compared: resume it, and release the rebuild, \
    or release it with accept_differences, and it is not compared";

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Switched {
    Done,
    /// It is not near enough yet, or something is in the way: what a person could not see otherwise.
    Later(Option<&'static str>),
    Held,
}

/// Switches, if it has caught up.
///
/// # Errors
/// When the database does not do what it is asked.
pub(super) async fn switch(
    pool: &PgPool,
    subscription: &Subscription,
    projection: &Arc<dyn Projection>,
    seen: &Seen,
    rebuild: &Rebuild,
) -> Result<Switched, Error> {
    debug_assert!(name_problem(subscription.name()).is_none());
    match attempt(pool, subscription, projection, seen, rebuild).await {
        Ok(Ok(Switched::Later(said))) => {
            pg::say_rebuild(pool, rebuild.number, said).await?;
            Ok(Switched::Later(said))
        }
        Ok(Ok(switched)) => Ok(switched),
        Ok(Err(said)) => {
            pg::hold_rebuild(pool, rebuild.number, &said).await?;
            tracing::warn!(
                projection = subscription.name(),
                rebuild = rebuild.number,
                said,
                "a rebuild is held: a person decides"
            );
            Ok(Switched::Held)
        }
        // Somebody is in a long transaction: later.
        Err(Error::Store(event_store::Error::Database { code, .. }))
            if code == "55P03" || code == "40P01" =>
        {
            Ok(Switched::Later(None))
        }
        Err(error) => Err(error),
    }
}

/// Inner error: why it is held.
async fn attempt(
    pool: &PgPool,
    subscription: &Subscription,
    projection: &Arc<dyn Projection>,
    seen: &Seen,
    rebuild: &Rebuild,
) -> Result<Result<Switched, String>, Error> {
    let name = subscription.name();
    let is_inline = seen.kind == "inline";
    let mut tx = pg::begin(pool).await?;
    if !pg::near(&mut tx, name, rebuild.generation, NEAR_EVENTS)
        .await?
        .is_near
    {
        return Ok(Ok(Switched::Later(None)));
    }
    let mut uncompared = None;
    if !is_inline {
        let live = pg::near(&mut tx, name, seen.generation, NEAR_EVENTS).await?;
        match (live.is_paused, live.is_near) {
            (false, true) => {}
            // Wrong or slow as it is, a person wants it gone: nothing more is applied to it.
            (true, _) if rebuild.accept_differences => uncompared = Some("the live one was paused"),
            (false, false) if rebuild.accept_differences => uncompared = Some("the live one was far behind"),
            (true, _) => return Ok(Err(LIVE_IS_PAUSED.to_owned())),
            (false, false) => return Ok(Ok(Switched::Later(Some(LIVE_IS_BEHIND)))),
        }
    }
    let old = old_schema(name);
    if pg::schema_state(&mut tx, &old, name, seen.generation)
        .await?
        .is_there
    {
        return Ok(Err(format!(
            "schema {old} is there, and the live one takes that name for a moment: drop or rename it, and release the rebuild"
        )));
    }
    let handler: Arc<dyn event_store::subscription::EventHandler> = Arc::new(Applied(Arc::clone(projection)));
    let mut generations = vec![rebuild.generation];
    if !is_inline {
        generations.insert(0, seen.generation);
    }
    let catch_up = CatchUp::begin(&mut tx).await?;
    if pg::hold(&mut tx, name).await? != seen.generation {
        return Ok(Ok(Switched::Later(None)));
    }
    if is_inline {
        pg::exclude(&mut tx, name).await?;
    }
    let mut seized = Vec::new();
    for generation in generations {
        let partitions = pg::seize(&mut tx, name, generation).await?;
        if partitions.is_empty() {
            // Nobody has begun with it yet.
            return Ok(Ok(Switched::Later(None)));
        }
        seized.push((generation, partitions));
    }
    // Taken when nobody can commit anything of either any more.
    let goal = catch_up.goal(&mut tx).await?;
    // Of the live one nothing is asked that is not to be compared.
    seized.retain(|(generation, _)| uncompared.is_none() || *generation == rebuild.generation);
    for (generation, partitions) in &seized {
        let of_it = subscription.clone().of_generation(*generation);
        if let Some(why) = goal.reach(&mut tx, pool, &of_it, &handler, partitions).await? {
            return Ok(Ok(Switched::Later(Some(why))));
        }
    }
    let mut differing = match uncompared {
        Some(why) => vec![format!("not compared, since {why}")],
        None => differences(&pg::contents(&mut tx, name).await?),
    };
    for (generation, _) in &seized {
        let waiting = pg::near(&mut tx, name, *generation, 0).await?.waiting;
        if waiting > 0 {
            let whose = if *generation == seen.generation {
                "the live one"
            } else {
                "the one built anew"
            };
            differing.push(format!(
                "{waiting} streams of {whose} wait because an event failed"
            ));
        }
    }
    if !differing.is_empty() && !rebuild.accept_differences {
        return Ok(Err(format!(
            "what was built anew differs: {}. If that is wanted: outbox.release_rebuild with accept_differences; otherwise cancel it",
            differing.join("; ")
        )));
    }
    if let Some(others) = pg::dependents(&mut tx, name).await? {
        return Ok(Err(format!(
            "{others} depends on the live schema and would be dropped with it: drop it, release the rebuild, and make it again"
        )));
    }
    pg::rename(&mut tx, name).await?;
    pg::make_live(&mut tx, name, rebuild.generation).await?;
    if is_inline {
        pg::drop_generation(&mut tx, name, rebuild.generation).await?;
    } else {
        pg::drop_generation(&mut tx, name, seen.generation).await?;
        pg::let_go(&mut tx, name, rebuild.generation).await?;
    }
    let said = if differing.is_empty() {
        "every table has the same rows as the one before".to_owned()
    } else {
        format!("accepted: {}", differing.join("; "))
    };
    if !pg::end_rebuild(&mut tx, rebuild.number, &said).await? {
        return Ok(Ok(Switched::Later(None)));
    }
    pg::commit(tx).await?;
    tracing::info!(
        projection = name,
        generation = rebuild.generation,
        "a projection that was built anew is live"
    );
    Ok(Ok(Switched::Done))
}
