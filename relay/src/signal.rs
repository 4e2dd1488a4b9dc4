//! Stopping: the first SIGTERM or SIGINT asks for a graceful end, a second one does not wait for it.
//!
//! Whoever stays catches them before anything that takes time, so that one that comes while settings are read or a server is asked
//! for is no other than one that comes later. Commands that do one thing are ended by a signal, as any program is.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The exit code of a process that a second signal ended: 128 + SIGINT.
const IMPATIENT: i32 = 130;

/// A token that is cancelled by the first SIGTERM or SIGINT. A second one ends the process at once; the lease then runs
/// out instead of being given back, and nothing else differs. To be called on a runtime: it is where they are waited for.
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
