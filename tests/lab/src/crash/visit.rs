//! A visit from its beginning to its verdict, and several of them beside each other.

use std::collections::HashSet;

use futures_util::{StreamExt, stream};
use system_tests::shop::{GROUP, TOPIC};
use system_tests::{Failure, Result, Witness};

use super::scene::Scene;
use super::streams;
use super::table::{Action, Provocation, Row};

/// Visits beside each other: most of a visit is waiting for leases.
const AT_ONCE: usize = 4;

/// Does this at this point, under load, and judges what is left.
///
/// # Errors
/// The point was not reached, something does not go on, or the witness found something.
pub async fn visit(row: Row, action: Action, seed: u64) -> Result {
    let folder = tempfile::tempdir()?;
    let mut scene = Scene::set(row, action, seed, folder.path()).await?;
    scene.provoke().await?;
    scene.reached().await?;
    scene.keep_what_comes().await?;
    let journal = scene.come_to_rest().await?;
    scene.account()?;
    let poison = match row.provocation {
        Provocation::Redrive => HashSet::new(),
        _ => scene.shop.poison(&journal).await?,
    };
    Witness::new(&journal)
        .ending(GROUP, &[TOPIC], &scene.shop.ending().await?, &poison)
        .verdict()
        .clean()?;
    streams::judge(&scene.world, row.provocation, &journal).await?;
    scene.be_quiet();
    Ok(())
}

/// What a failure says before it shows logs.
fn sentence(failure: &Failure) -> String {
    failure.to_string().lines().next().unwrap_or_default().to_owned()
}

/// Makes all of these visits, some at a time, and says what each of those that failed found.
///
/// # Errors
/// When one failed.
pub async fn visit_all(visits: Vec<(Row, Action)>, seed: u64) -> Result {
    if visits.is_empty() {
        return Err(Failure::new("there is nothing to visit: nothing was shown"));
    }
    let outcomes = stream::iter(visits).map(|(row, action)| async move {
        let begun = tokio::time::Instant::now();
        let outcome = Box::pin(visit(row, action, seed)).await;
        let (point, word) = (row.point.name(), action.word());
        let took = begun.elapsed();
        match outcome {
            Ok(()) => {
                eprintln!("{point}:{word} in {took:.1?}");
                None
            }
            Err(failure) => {
                eprintln!("{point}:{word} FAILED after {took:.1?}: {}", sentence(&failure));
                Some(format!(
                    "{point}:{word}, seed {seed}, after {took:.1?}: {failure:?}"
                ))
            }
        }
    });
    let failed: Vec<String> = outcomes
        .buffer_unordered(AT_ONCE)
        .filter_map(|found| async move { found })
        .collect()
        .await;
    if failed.is_empty() {
        Ok(())
    } else {
        Err(Failure::new(failed.join("\n\n")))
    }
}
