//! `outbox-relay run`: tail the log and publish, or stand by.

use std::sync::Arc;

use outbox_core::standing::Standing;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::{compose, http, lag, telemetry};

/// Runs until the token is cancelled; then finishes what is in hand and gives the lease back.
///
/// # Errors
/// The settings cannot be used or the address for health and metrics cannot be bound.
pub async fn run(config: &Config, token: CancellationToken) -> Result<Exit, Failure> {
    let metrics = telemetry::metrics()?;
    let (standing, shown) = watch::channel(Standing::Starting);
    let server = http::Server::bind(&config.http).await?;
    let (found, causes) = watch::channel(http::Causes::new());
    let (asker, asked) = lag::channel();
    let serving = tokio::spawn(server.run(shown, (causes, asker), metrics, token.clone()));
    let config = Arc::new(config.clone());
    let watching = tokio::spawn(lag::watch(config.clone(), found, asked, token.clone()));
    // A task of its own: what the first thread runs itself is woken from another thread for each answer.
    let relayed = tokio::spawn(compose::relay(config, standing, token.clone())).await;
    token.cancel();
    let relayed = match relayed {
        Ok(relayed) => relayed,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    };
    if let Err(panic) = watching.await {
        std::panic::resume_unwind(panic.into_panic());
    }
    relayed?;
    match serving.await {
        Ok(Ok(())) => Ok(Exit::Success),
        Ok(Err(error)) => Err(Failure::error(format!("the health endpoint failed: {error}"))),
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}
