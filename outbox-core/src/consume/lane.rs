//! One stream, for as long as this member lives: wait for the lease, work under it, give it back.

use tokio_util::sync::CancellationToken;

use super::Error;
use super::lease::Lease;
use super::metric::Meters;
use super::retry::OUTAGE;
use super::session::Session;
use super::shared::Shared;
use super::stream::Stream;
use crate::standing::Standing;

pub(super) async fn run(shared: &Shared, stream: &Stream, token: &CancellationToken) {
    let mut troubles = 0;
    while let Some(lease) = acquire(shared, stream, token).await {
        let meters = Meters::new(shared.store.consumer(), &stream.key);
        meters.leading.set(1.0);
        tracing::info!(stream = stream.key, epoch = lease.epoch, "applying this stream");
        let outcome = tokio::select! {
            error = renew(shared, stream, lease) => Err(error),
            outcome = work(shared, stream, lease, token, &mut troubles) => outcome,
        };
        meters.let_go();
        shared.board.clear(&lease_line(stream));
        if let Err(error) = outcome {
            tracing::warn!(stream = stream.key, epoch = lease.epoch, %error, "no longer applying this stream");
        } else if let Err(error) = shared.store.release_lease(&stream.key, lease).await {
            tracing::warn!(stream = stream.key, %error, "the lease was not given back: it runs out by itself");
        } else {
            tracing::info!(stream = stream.key, epoch = lease.epoch, "gave the stream back");
        }
    }
}

/// Waits until the lease is free. None when the token was cancelled first.
async fn acquire(shared: &Shared, stream: &Stream, token: &CancellationToken) -> Option<Lease> {
    let mut troubles = 0;
    let mut is_added = false;
    while !token.is_cancelled() {
        let taken = async {
            if !is_added {
                shared.store.add_lease(&stream.key).await?;
                is_added = true;
            }
            shared
                .store
                .take_lease(&stream.key, &shared.settings.member)
                .await
        };
        let pause = match taken.await {
            Ok(Some(lease)) => return Some(lease),
            Ok(None) => {
                troubles = 0;
                shared.board.set(&stream.key, Standing::Standby);
                shared.settings.lease_poll()
            }
            Err(error) => {
                troubles += 1;
                report(shared, stream, &error, troubles);
                OUTAGE.pause(troubles)
            }
        };
        token.run_until_cancelled(tokio::time::sleep(pause)).await;
    }
    None
}

/// Keeps the lease. Ends when another member has it; an outage is for the applying transactions to notice.
async fn renew(shared: &Shared, stream: &Stream, lease: Lease) -> Error {
    let pause = shared.store.lease_time() / 3;
    let line = lease_line(stream);
    loop {
        tokio::time::sleep(pause).await;
        match shared.store.renew_lease(&stream.key, lease).await {
            Ok(true) => shared.board.clear(&line),
            Ok(false) => return Error::Fenced,
            Err(error) => {
                let cause = format!("{error}. {}", error.advice());
                shared.board.set(&line, Standing::Waiting { cause });
                tracing::warn!(stream = stream.key, %error, "the lease was not renewed");
            }
        }
    }
}

/// Works under a lease, through troubles, until it is lost or the token is cancelled.
async fn work(
    shared: &Shared,
    stream: &Stream,
    lease: Lease,
    token: &CancellationToken,
    troubles: &mut u32,
) -> Result<(), Error> {
    while !token.is_cancelled() {
        let mut has_progressed = false;
        let outcome = async {
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
        *troubles = if has_progressed { 1 } else { *troubles + 1 };
        if error.is_group_lost() && *troubles == 1 {
            tracing::warn!(
                stream = stream.key,
                "the stream lost its consumer group: making it again"
            );
            continue;
        }
        report(shared, stream, &error, *troubles);
        // A day of the inbox that was taken for there may have been dropped.
        shared.forget_days();
        token
            .run_until_cancelled(tokio::time::sleep(OUTAGE.pause(*troubles)))
            .await;
    }
    Ok(())
}

/// The line of the board for the lease alone: on a quiet stream only its renewal notices that the database is gone.
fn lease_line(stream: &Stream) -> String {
    format!("lease of {}", stream.key)
}

fn report(shared: &Shared, stream: &Stream, error: &Error, troubles: u32) {
    let cause = format!("{error}. {}", error.advice());
    shared.board.set(&stream.key, Standing::Waiting { cause });
    tracing::warn!(stream = stream.key, %error, advice = error.advice(), troubles, "holding the stream, trying again");
}
