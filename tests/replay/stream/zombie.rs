//! A leader that was stopped with a parcel on its way, which arrives in the middle of what the next one does.

use system_tests::{Fault, Result};

use crate::cast::{Cast, STREAM};

#[tokio::test]
async fn a_stream_that_a_zombie_made_anew_hides_no_loss_and_turns_no_key() -> Result {
    // GIVEN a group that has had the first event, and not the second
    let mut cast = Cast::new().await?;
    let mut first = cast.actor().await?;
    first.relay.leads().await?;
    let mut second = cast.actor().await?;
    let mut member = cast.member().await?;
    cast.append().await?;
    cast.applied(1).await?;
    assert!(member.terminate().await?.success());
    cast.append().await?;
    cast.entries(2).await?;
    // AND a third one that the leader has on its way when it is stopped, and the next one puts on the stream
    first.with_a_parcel_in_flight(&mut cast).await?;
    first.relay.pause()?;
    second.relay.leads().await?;
    let top = cast.entries(3).await?[2].id;
    cast.is_recorded(top).await?;
    // WHEN the stream is lost, and what was on its way makes it anew: its top is what was confirmed last
    second.redis.inflict(Fault::Hold);
    cast.ask::<()>(&["DEL", STREAM]).await?;
    first.redis.heal();
    let found = cast.entries(1).await?;
    assert_eq!(found.iter().map(|entry| entry.id).collect::<Vec<_>>(), [top]);
    second.redis.heal();
    cast.append().await?;
    // THEN the next parcel finds its predecessor, and nothing is said to be lost
    cast.entries(2).await?;
    assert_eq!(cast.losses().await?, (0, 0));
    // AND the group, which comes back, holds what it finds, until the second event was put out again before it
    let mut member = cast.member().await?;
    cast.applied(4).await?;
    first.relay.resume()?;
    first.relay.ready().await?;
    assert!(member.terminate().await?.success());
    assert_eq!(cast.applied(4).await?, cast.events);
    Ok(())
}

#[tokio::test]
async fn a_parcel_on_its_way_does_not_make_a_lost_stream_whole() -> Result {
    // GIVEN an entry, and the next one on its way
    let mut cast = Cast::new().await?;
    let mut leader = cast.actor().await?;
    leader.relay.leads().await?;
    cast.append().await?;
    let first = cast.entries(1).await?[0].id;
    cast.is_recorded(first).await?;
    leader.with_a_parcel_in_flight(&mut cast).await?;
    // WHEN the stream is lost, a member makes an empty one for its group, and the parcel arrives: the top is what was sent last
    cast.ask::<()>(&["DEL", STREAM]).await?;
    cast.ask::<()>(&["XGROUP", "CREATE", STREAM, "g", "0", "MKSTREAM"])
        .await?;
    leader.redis.heal();
    // THEN the entry before it is missed by that very parcel, and both are put out again
    let entries = cast.entries(3).await?;
    Cast::is_chain(&entries[1..], None, &cast.events);
    assert_eq!(entries[0].previous_id, Some(first));
    Ok(())
}

#[tokio::test]
async fn a_stream_that_was_never_written_is_not_lost() -> Result {
    // GIVEN a leader that cut a batch, and is stopped with it on its way
    let mut cast = Cast::new().await?;
    let mut first = cast.actor().await?;
    first.relay.leads().await?;
    let mut second = cast.actor().await?;
    first.with_a_parcel_in_flight(&mut cast).await?;
    first.relay.pause()?;
    // WHEN the next one finds no stream where the ledger has an entry, sends it, and the one before is faster
    second.hold_the_next_parcel();
    second.relay.leads().await?;
    second.is_held().await?;
    first.redis.heal();
    cast.entries(1).await?;
    second.redis.heal();
    cast.append().await?;
    cast.entries(2).await?;
    first.relay.resume()?;
    first.relay.ready().await?;
    // THEN each event has one entry, and nothing was said to be lost
    let entries = cast.entries(2).await?;
    Cast::is_chain(&entries, None, &cast.events);
    assert_eq!(cast.losses().await?, (0, 0));
    Ok(())
}
