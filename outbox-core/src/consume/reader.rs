//! Reads what is new on a stream ahead of the work, one batch at most, on a connection of its own.
//!
//! Dropping it in the middle of a read loses nothing: what Redis delivered is pending and is claimed by whoever is next.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::Error;
use super::portion::Portion;
use super::redis::{Entry, Link};
use super::shared::Shared;

/// A blocked read ends by itself this often: a lost group or connection is noticed at the latest then.
const BLOCK: Duration = Duration::from_secs(1);

pub(super) struct Reader {
    batches: mpsc::Receiver<Result<Vec<Entry>, Error>>,
    task: JoinHandle<()>,
}

impl Reader {
    pub(super) async fn start(link: &Link, shared: &Shared) -> Result<Self, Error> {
        let mut link = link.connect_reader(&shared.redis, BLOCK).await?;
        let mut portion = Portion::new(shared.settings.read_count);
        let (sender, batches) = mpsc::channel(1);
        let task = tokio::spawn(async move {
            // The place in the channel is taken first: nothing is read that nobody has room for.
            while let Ok(place) = sender.reserve().await {
                match link.read(portion.count(), BLOCK).await {
                    Ok(entries) if entries.is_empty() => drop(place),
                    Ok(entries) => {
                        portion.learn(entries.iter().map(Entry::size));
                        place.send(Ok(entries));
                    }
                    Err(error) => {
                        place.send(Err(error));
                        return;
                    }
                }
            }
        });
        Ok(Self { batches, task })
    }

    /// The next batch; never an empty one.
    pub(super) async fn next(&mut self) -> Result<Vec<Entry>, Error> {
        match self.batches.recv().await {
            Some(batch) => batch,
            None => Err(Error::Broken {
                source: "the reader ended".into(),
            }),
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.task.abort();
    }
}
