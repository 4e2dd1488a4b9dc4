//! Whether notifications arrive on an idle connection: they do not behind a pooler in transaction mode.

use std::future::poll_fn;
use std::pin::pin;
use std::time::Duration;

use tokio_postgres::AsyncMessage;

use super::{Error, Role, describe_postgres, postgres};
use crate::config::Config;

/// A notification crosses a server in milliseconds; a machine that is busy may take longer.
const LIMIT: Duration = Duration::from_secs(2);

/// Listens on one connection and notifies from another.
///
/// # Errors
/// A connection cannot be made or a statement is refused.
pub async fn notifications_arrive(config: &Config) -> Result<bool, Error> {
    let refused = |error: tokio_postgres::Error| Error {
        target: "Postgres".to_owned(),
        what: describe_postgres(&error),
        advice: "set postgres.listen = false if this server cannot listen",
    };
    // Of this check alone, so that nobody else's notification is taken for ours.
    let channel = format!("outbox_check_{}", std::process::id());
    let (listener, mut heard) = postgres(config, Role::Report).await?;
    let (sender, sending) = postgres(config, Role::Report).await?;
    let listen = format!("listen {channel}");
    let notify = format!("notify {channel}");
    let conversation = async {
        listener.batch_execute(&listen).await?;
        sender.batch_execute(&notify).await?;
        // Until the notification, which ends the other branch, or the limit.
        std::future::pending::<Result<(), tokio_postgres::Error>>().await
    };
    let hear = async {
        loop {
            match poll_fn(|context| heard.poll_message(context)).await {
                Some(Ok(AsyncMessage::Notification(note))) if note.channel() == channel => return Ok(true),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error),
                None => return Ok(false),
            }
        }
    };
    let (conversation, hear, sending) = (pin!(conversation), pin!(hear), pin!(sending));
    let all = async {
        tokio::select! {
            heard = hear => heard,
            ended = conversation => ended.map(|()| false),
            ended = sending => ended.map(|()| false),
        }
    };
    match tokio::time::timeout(LIMIT, all).await {
        Ok(result) => result.map_err(refused),
        Err(_) => Ok(false),
    }
}
