//! Members of one group, each with a pool of its own.

use outbox_core::consume::{Builder, Consumer, Error};
use system_tests::{Database, Login, Result};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Effects;
use crate::case::{note, note_all};

/// They run until they are stopped.
pub(super) struct Members {
    token: CancellationToken,
    tasks: JoinSet<std::result::Result<(), Error>>,
}

/// Starts so many, with the settings that a consumer has by itself.
pub(super) fn start(
    database: &Database,
    redis_url: &str,
    group: &str,
    topic: &str,
    count: usize,
    effects: Effects,
) -> Result<Members> {
    let token = CancellationToken::new();
    let mut tasks = JoinSet::new();
    for _ in 0..count {
        let builder: Builder = Consumer::builder(group)
            .database_url(database.url_of(Login::Consumer))
            .redis(Login::Consumer.redis_url(redis_url));
        let builder = match effects {
            Effects::Each => builder.on(topic, note),
            Effects::Together => builder.on_batch(topic, note_all),
        };
        let consumer = builder.build()?;
        let token = token.clone();
        tasks.spawn(async move { consumer.run(token).await });
    }
    Ok(Members { token, tasks })
}

impl Members {
    /// Lets each finish what it has in hand.
    pub(super) async fn stop(mut self) -> Result {
        self.token.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended??;
        }
        Ok(())
    }
}
