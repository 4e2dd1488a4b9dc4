//! One event that ended its transaction, set aside by itself: its stream waits, and the checkpoint passes it, in one transaction.
//!
//! Both or none. A stream that waits for an event that is still before the checkpoint could neither be tried nor passed over.

use super::failure::Failure;
use super::step::{Care, Place, Stepped, park, version};
use super::{Error, difference, pg};

/// Sets the event of this stream and version aside, if it is still the next one.
///
/// # Errors
/// When the lease or the database is gone, or went back in time.
pub(super) async fn set_aside(
    place: &Place,
    failed: (i64, i64),
    failure: &Failure,
) -> Result<Stepped, Error> {
    let store = &place.store;
    let mut lent = store.lend().await?;
    let mut tx = store.begin(&mut lent).await?;
    let drawn = pg::Store::drawn(&mut tx).await?;
    let fenced = store.fence(&mut tx, place.partition, place.epoch).await?;
    if fenced.is_paused {
        pg::rollback(tx).await?;
        return Ok(Stepped::Paused);
    }
    let Some(mut open) = difference::open(&mut tx, &fenced).await? else {
        pg::rollback(tx).await?;
        return Ok(Stepped::Again(Care::Whole, 1));
    };
    let page = open.page(store, &mut tx, place.partition, 1).await?;
    let next = page
        .events
        .first()
        .map(|(stream, event)| (*stream, version(event)));
    if next != Some(failed) {
        // Something came before it: the page is applied anew.
        pg::rollback(tx).await?;
        return Ok(Stepped::Again(Care::Whole, 1));
    }
    park(place, &mut tx, failed, failure).await?;
    open.pass(store, &mut tx, place.partition, drawn, &page).await?;
    pg::commit(tx).await?;
    Ok(Stepped::SetAside)
}
