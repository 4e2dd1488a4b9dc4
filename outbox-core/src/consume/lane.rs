//! One stream in the hands of one member, for as long as its lease: work, through troubles; then give it back.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Error;
use super::breaker::Breaker;
use super::discovery;
use super::lease::Lease;
use super::metric::Meters;
use super::retry::OUTAGE;
use super::session::Session;
use super::shared::Shared;
use super::stream::Stream;
use crate::standing::Standing;

/// A lease that was lost is not given back with more patience than this: it runs out by itself.
const RELEASE_LIMIT: Duration = Duration::from_secs(2);

/// Applies the stream until `stop`, after which what is in hand is finished and the lease given back, or until `lost`, which
/// ends it at once: another member has the lease, or may have it.
pub(super) async fn run(
    shared: &Arc<Shared>,
    stream: &Stream,
    lease: Lease,
    stop: &CancellationToken,
    lost: &CancellationToken,
) {
    let meters = Meters::new(shared.store.consumer(), &stream.key);
    meters.leading.set(1.0);
    tracing::info!(stream = stream.key, epoch = lease.epoch, "applying this stream");
    let outcome = tokio::select! {
        () = lost.cancelled() => Err(Error::Fenced),
        outcome = Box::pin(work(shared, stream, lease, stop)) => outcome,
    };
    meters.let_go();
    // Who has it from now on finds out for itself; what is left here is tried by whoever has something to try.
    let leave = |breaker: &mut Breaker| breaker.blame.leave(&stream.key);
    shared.breakers.of(&stream.topic, leave);
    if let Err(error) = outcome {
        tracing::warn!(stream = stream.key, epoch = lease.epoch, %error, "no longer applying this stream");
        // A look of this member may have renewed it meanwhile, for nobody. Whoever else has it has another epoch.
        let release = shared.store.release_lease(&stream.key, lease);
        let _ = tokio::time::timeout(RELEASE_LIMIT, release).await;
    } else if let Err(error) = shared.store.release_lease(&stream.key, lease).await {
        tracing::warn!(stream = stream.key, %error, "the lease was not given back: it runs out by itself");
    } else {
        tracing::info!(stream = stream.key, epoch = lease.epoch, "gave the stream back");
    }
}

/// Works under a lease, through troubles, until it is lost or the token is cancelled.
async fn work(
    shared: &Arc<Shared>,
    stream: &Stream,
    lease: Lease,
    token: &CancellationToken,
) -> Result<(), Error> {
    let mut troubles = 0;
    while !token.is_cancelled() {
        let mut has_progressed = false;
        let outcome = async {
            // What this member knows may be of a moment ago: the generation of what is on the stream is asked for.
            discovery::refresh(shared, &stream.flow()).await?;
            let mut session = Session::open(shared, stream, lease).await?;
            shared.board.set(&stream.key, Standing::Leading);
            let outcome = Box::pin(session.run(token)).await;
            has_progressed = session.has_progressed();
            outcome
        };
        let error = match outcome.await {
            Err(Error::Fenced) => return Err(Error::Fenced),
            Err(error) => error,
            Ok(()) => return Ok(()),
        };
        troubles = if has_progressed { 1 } else { troubles + 1 };
        if error.is_group_lost() && troubles == 1 {
            tracing::warn!(
                stream = stream.key,
                "the stream lost its consumer group: making it again"
            );
            continue;
        }
        report(shared, stream, &error, troubles);
        // A day of the inbox that was taken for there may have been dropped.
        shared.forget_days();
        token
            .run_until_cancelled(tokio::time::sleep(OUTAGE.pause(troubles)))
            .await;
    }
    Ok(())
}

fn report(shared: &Shared, stream: &Stream, error: &Error, troubles: u32) {
    let cause = format!("{error}. {}", error.advice());
    shared.board.set(&stream.key, Standing::Waiting { cause });
    tracing::warn!(stream = stream.key, %error, advice = error.advice(), troubles, "holding the stream, trying again");
}
