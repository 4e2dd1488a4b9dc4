//! Stopping: the first SIGTERM or SIGINT asks for a graceful end, a second one does not wait for it.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The exit code of a process that a second signal ended: 128 + SIGINT.
const IMPATIENT: i32 = 130;

/// A token that is cancelled by the first SIGTERM or SIGINT. A second one ends the process at once; the lease then runs
/// out instead of being given back, and nothing else differs.
///
/// # Errors
/// The handlers cannot be installed.
pub fn stop_token() -> std::io::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let token = CancellationToken::new();
    let stop = token.clone();
    tokio::spawn(async move {
        let mut next = async || {
            tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            }
        };
        let name = next().await;
        tracing::info!(
            signal = name,
            "stopping after what is in hand; a second signal stops at once"
        );
        stop.cancel();
        let name = next().await;
        tracing::warn!(signal = name, "stopping at once");
        std::process::exit(IMPATIENT);
    });
    Ok(token)
}
