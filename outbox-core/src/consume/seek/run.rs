//! A seek at work.

use std::time::Duration;

use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::pg::{Group, Move, Seized};
use super::plan::{self, missing};
use super::request::{Ends, Prepared, Request, prepare};
use crate::consume::stream::{self, Stream};
use crate::consume::{Error, prelude};
use crate::event::EntryId;

/// Long enough for a slow renewal, short enough that members go on soon after a crash of the command.
const LEASE: Duration = Duration::from_secs(10);
/// Pages of the inbox that one statement walks over.
const PAGES: i64 = 1_000;

/// How far a seek is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The leases are taken: nobody applies these streams now.
    Seized,
    /// So many entries of a stream came from the log.
    Written {
        /// The stream.
        stream: String,
        /// So far.
        entries: u64,
    },
    /// So many ids were forgotten.
    Forgotten {
        /// So far.
        ids: u64,
    },
}

/// What a seek did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// Each stream with the entry that now counts as passed, and how many entries came from the log.
    pub streams: Vec<(String, EntryId, u64)>,
    /// Ids that were forgotten.
    pub forgotten: u64,
}

/// Sets the group back. Until the last step nothing has happened to it; a seek that failed or crashed is run again.
///
/// # Errors
/// It is refused, a server does not answer, or the leases were lost on the way.
pub async fn execute(
    ends: &Ends,
    request: &Request,
    mut progress: impl FnMut(Progress),
) -> Result<Done, Error> {
    let mut prepared = prepare(ends, request).await?;
    if let Some(said) = prepared.refusal.take() {
        return Err(Error::Refused { said });
    }
    let holder = format!("seek {}", uuid::Uuid::now_v7().simple());
    let mut seized = Vec::new();
    for (stream, _) in &prepared.streams {
        let lease_ms = LEASE.as_secs_f64() * 1000.0;
        let taken = prepared
            .group
            .seize(&stream.key, &holder, lease_ms, &request.reason)
            .await;
        match taken {
            Ok(taken) => seized.push(taken),
            Err(error) => {
                give_up(&mut prepared, &seized, request).await;
                return Err(error);
            }
        }
    }
    crash_point!(SEEK_SEIZED);
    // Before the wait: it may be longer than the leases.
    let keeper = Keeper::start(prepared.group.clone(), seized.clone());
    let outcome = work(&mut prepared, request, &mut seized, &keeper, &mut progress).await;
    let outcome = match outcome {
        Ok((moves, done)) => finish(&mut prepared, request, &moves, done, &keeper).await,
        Err(error) => Err(error),
    };
    let outcome = match outcome {
        Ok(done) if request.forget => {
            let forgotten = forget(&prepared, &seized, &keeper, &mut progress).await;
            drop(keeper);
            // Moved they are, and what was written is what the group reads.
            release(&prepared, &seized).await;
            return match forgotten {
                Ok(forgotten) => Ok(Done { forgotten, ..done }),
                Err(error) => Err(Error::Unfinished {
                    said: format!(
                        "the group is set back, and it forgot only a part of what it applied: {error}"
                    ),
                }),
            };
        }
        outcome => outcome,
    };
    drop(keeper);
    match &outcome {
        Ok(_) => {}
        // Whether it was committed is not known: what was written may be what the group reads.
        Err(Error::Postgres { .. } | Error::Slow { .. }) => release(&prepared, &seized).await,
        Err(_) => give_up(&mut prepared, &seized, request).await,
    }
    outcome
}

/// Members go on at once instead of when the leases end, and Redis has its memory back. What fails here ends by itself.
async fn give_up(prepared: &mut Prepared, seized: &[Seized], request: &Request) {
    for seized in seized {
        if let Err(error) = prepared
            .redis
            .remove(&prelude::key(&seized.stream, &request.group, seized.epoch))
            .await
        {
            tracing::warn!(%error, "what was written is left behind; it ends by itself");
        }
    }
    release(prepared, seized).await;
}

async fn release(prepared: &Prepared, seized: &[Seized]) {
    if let Err(error) = prepared.group.release(seized).await {
        tracing::warn!(%error, "the leases were not given back: they end by themselves");
    }
}

async fn work(
    prepared: &mut Prepared,
    request: &Request,
    seized: &mut [Seized],
    keeper: &Keeper,
    progress: &mut impl FnMut(Progress),
) -> Result<(Vec<Move>, Done), Error> {
    for seized in &mut *seized {
        keeper.check()?;
        prepared.group.drain(seized).await?;
    }
    progress(Progress::Seized);
    // What was under way may have parked keys.
    if let Some(said) = prepared.look_again(request).await? {
        return Err(Error::Refused { said });
    }
    let mut moves = Vec::with_capacity(seized.len());
    let mut done = Vec::with_capacity(seized.len());
    for (number, seized) in seized.iter().enumerate() {
        let stream = prepared.streams[number].0.clone();
        let prelude = prelude::key(&stream.key, &request.group, seized.epoch);
        let (passed, entries) = set_back(prepared, request, (&stream, &prelude), keeper, progress).await?;
        moves.push(Move {
            seized: seized.clone(),
            passed,
            replayed: request.forget.then(|| seized.passed.unwrap_or(EntryId::MIN)),
            prelude: (entries > 0).then_some(prelude),
        });
        done.push((stream.key, passed, entries));
    }
    let done = Done {
        streams: done,
        forgotten: 0,
    };
    Ok((moves, done))
}

/// The step that counts.
async fn finish(
    prepared: &mut Prepared,
    request: &Request,
    moves: &[Move],
    done: Done,
    keeper: &Keeper,
) -> Result<Done, Error> {
    for (moved, (_, _, entries)) in moves.iter().zip(&done.streams) {
        if let Some(prelude) = &moved.prelude
            && prepared.redis.keep(prelude).await? != *entries
        {
            return Err(Error::Refused {
                said: format!("{prelude} is not what was written there: run the same seek again"),
            });
        }
    }
    keeper.check()?;
    crash_point!(SEEK_WRITTEN);
    prepared.group.move_streams(moves, &request.reason).await?;
    crash_point!(SEEK_MOVED);
    if let Err(error) = clear(prepared, request, moves).await {
        tracing::warn!(%error, "what earlier seeks wrote is left behind; the next one removes it");
    }
    Ok(done)
}

/// Removes what earlier seeks left on these streams. Nobody reads it any more, and nobody else writes it: who seized a stream
/// before is fenced, and who does so from now on has a higher epoch.
async fn clear(prepared: &mut Prepared, request: &Request, moves: &[Move]) -> Result<(), Error> {
    let pattern = stream::literal(&format!("{}{}", request.prefix, request.topic)) + "*@prelude:*";
    for key in prepared.redis.find(&pattern).await? {
        let is_former = |moved: &Move| {
            prelude::epoch(&key, &moved.seized.stream, &request.group)
                .is_some_and(|epoch| epoch < moved.seized.epoch)
        };
        if moves.iter().any(is_former) {
            prepared.redis.remove(&key).await?;
        }
    }
    Ok(())
}

/// Sets the group back on one stream and fetches what the stream no longer has. Returns what counts as passed then, and how
/// many entries came from the log.
async fn set_back(
    prepared: &mut Prepared,
    request: &Request,
    (stream, prelude): (&Stream, &str),
    keeper: &Keeper,
    progress: &mut impl FnMut(Progress),
) -> Result<(EntryId, u64), Error> {
    keeper.check()?;
    let end = prepared.redis.last(&stream.key).await?;
    let behind = plan::place(prepared.behind, end, prepared.known.now_ms);
    // From here on whoever trims waits for the group.
    prepared
        .redis
        .set_back(&stream.key, &request.group, behind)
        .await?;
    let (mut front, mut fetched, mut last, mut entries) =
        (prepared.redis.front(&stream.key).await?, None, behind, 0);
    // A trim that was under way when the group was set back may still take off a little more.
    while let Some(missing) = missing(last, front) {
        let Some(mut reading) = prepared
            .source
            .read(stream, missing.behind, missing.until)
            .await?
        else {
            break;
        };
        let before = entries;
        loop {
            keeper.check()?;
            let batch = reading.next().await?;
            let (Some(first), Some(end)) = (batch.first(), batch.last()) else {
                break;
            };
            fetched = fetched.or(Some(first.id));
            last = end.id;
            prepared.redis.write(prelude, &batch).await?;
            entries += batch.len() as u64;
            progress(Progress::Written {
                stream: stream.key.clone(),
                entries,
            });
        }
        if entries == before {
            break;
        }
        front = prepared.redis.front(&stream.key).await?;
    }
    let end = match (front.first, fetched) {
        (None, None) => prepared.redis.last_end(&request.prefix, stream).await?,
        _ => None,
    };
    Ok((plan::passed(behind, front, fetched, end), entries))
}

async fn forget(
    prepared: &Prepared,
    seized: &[Seized],
    keeper: &Keeper,
    progress: &mut impl FnMut(Progress),
) -> Result<u64, Error> {
    let mut forgotten = 0;
    for (table, pages) in prepared.group.tables().await? {
        let mut page = 0;
        while page < pages {
            keeper.check()?;
            forgotten += prepared
                .group
                .forget(seized, prepared.behind, &table, (page, PAGES))
                .await?;
            page += PAGES;
            progress(Progress::Forgotten { ids: forgotten });
        }
    }
    Ok(forgotten)
}

/// Keeps the leases while the work goes on.
struct Keeper {
    lost: watch::Receiver<Option<String>>,
    _task: AbortOnDropHandle<()>,
}

impl Keeper {
    fn start(group: Group, seized: Vec<Seized>) -> Self {
        let (sender, lost) = watch::channel(None);
        let task = tokio::spawn(async move {
            loop {
                tokio::time::sleep(LEASE / 4).await;
                let kept =
                    tokio::time::timeout(LEASE / 4, group.keep(&seized, LEASE.as_secs_f64() * 1000.0)).await;
                let why = match kept {
                    Ok(Ok(())) => continue,
                    Ok(Err(error)) => error.to_string(),
                    Err(_) => "the database did not answer in time".to_owned(),
                };
                sender.send_replace(Some(why));
                return;
            }
        });
        Self {
            lost,
            _task: AbortOnDropHandle::new(task),
        }
    }

    /// Fails when the leases could not be renewed.
    fn check(&self) -> Result<(), Error> {
        match &*self.lost.borrow() {
            None => Ok(()),
            Some(why) => Err(Error::Refused {
                said: format!(
                    "the leases were not renewed in the middle of the seek ({why}): run the same seek again"
                ),
            }),
        }
    }
}
