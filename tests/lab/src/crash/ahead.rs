//! What a relay of a copy of the database leaves at the sink: entries and marks that this ledger never cut.

use system_tests::patience::until;
use system_tests::shop::TOPIC;
use system_tests::stream::{Entry, entries};
use system_tests::{Failure, Result, World};

use super::scene::LIMIT;

/// So far ahead of the last batch that no cut of the load comes there.
const AHEAD: u64 = 1_000_000;

/// Puts one entry and a mark on each stream. The event is one that is there already: groups leave it out, so that nothing has to be
/// reconciled that only people can.
pub(super) async fn put(world: &World, partitions: u32) -> Result {
    for partition in 0..partitions {
        put_one(world, partition).await?;
    }
    Ok(())
}

async fn put_one(world: &World, partition: u32) -> Result {
    let mut redis = world.redis().await?;
    let stream = format!("outbox:{TOPIC}:{partition}");
    let key = format!("outbox:@mark:{TOPIC}:{partition}");
    let last: Entry = until("something is on the stream", LIMIT, async || {
        let mut events = entries(&mut redis, &stream).await?;
        events.retain(|entry| !entry.is_control());
        Ok(events.pop())
    })
    .await?;
    let previous = last.previous_id.map_or("0-0".to_owned(), |id| id.to_string());
    let json = last.json.replace(
        &format!(r#""previousid":"{previous}""#),
        &format!(r#""previousid":"{}""#, last.id),
    );
    let batch = last.id.0 + AHEAD;
    let marks: Vec<(String, Vec<(String, String)>)> = redis::cmd("XREVRANGE")
        .arg(&[key.as_str(), "+", "-"])
        .query_async(&mut redis)
        .await?;
    let (_, fields) = marks
        .first()
        .ok_or_else(|| Failure::new(format!("{key} has no mark")))?;
    let mut both = redis::pipe();
    both.atomic();
    both.cmd("XADD")
        .arg(&stream)
        .arg(format!("{batch}-{}", last.id.1))
        .arg("event")
        .arg(&json)
        .ignore();
    let mark = both.cmd("XADD").arg(&key).arg(format!("{batch}-0"));
    for (name, value) in fields {
        mark.arg(name).arg(value);
    }
    mark.ignore();
    both.query_async::<()>(&mut redis).await?;
    Ok(())
}
