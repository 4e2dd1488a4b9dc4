//! Reads what is new on a stream ahead of the work, on a connection of its own: one batch at most, and what is left of the one
//! before when there were no places for all of it.
//!
//! Dropping it in the middle of a read loses nothing: what Redis delivered is pending and is claimed by whoever is next.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::Error;
use super::ahead::Ahead;
use super::portion::Portion;
use super::redis::{Entry, Link};
use super::shared::Shared;

/// A blocked read ends by itself this often: a lost group is noticed at the latest then, a lost connection when the answer is overdue.
const BLOCK: Duration = Duration::from_secs(5);

pub(super) struct Reader {
    batches: mpsc::Receiver<Result<Vec<Entry>, Error>>,
    /// What is left of the batch that came last.
    rest: VecDeque<Entry>,
    /// What is in `batches` and in `rest`, for whoever counts.
    ahead: Ahead,
    task: JoinHandle<()>,
}

impl Reader {
    pub(super) async fn start(link: &Link, shared: &Shared, ahead: Ahead) -> Result<Self, Error> {
        let mut link = link.connect_reader(&shared.redis, BLOCK).await?;
        let mut portion = Portion::new(shared.settings.read_count);
        let (sender, batches) = mpsc::channel(1);
        let noted = ahead.clone();
        let task = tokio::spawn(async move {
            // The place in the channel is taken first: nothing is read that nobody has room for.
            while let Ok(place) = sender.reserve().await {
                noted.begin().await;
                let read = link.read(portion.count(), BLOCK).await;
                noted.end(read.iter().flatten().map(|entry| entry.id));
                match read {
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
        Ok(Self {
            batches,
            rest: VecDeque::new(),
            ahead,
            task,
        })
    }

    /// The next entries, at most `most`; never none.
    pub(super) async fn next(&mut self, most: usize) -> Result<Vec<Entry>, Error> {
        if self.rest.is_empty() {
            let batch = self.batches.recv().await.ok_or_else(|| Error::Broken {
                source: "the reader ended".into(),
            })?;
            self.rest.extend(batch?);
        }
        let most = most.clamp(1, self.rest.len());
        self.ahead.taken(most);
        Ok(self.rest.drain(..most).collect())
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.task.abort();
    }
}
