//! Reading a stream's prelude to its end before the stream, and removing it when all of it is passed.

use super::Error;
use super::prelude::Prelude;
use super::redis::Entry;
use super::session::Session;

/// Entries of one read, at most.
const READ_COUNT: usize = 128;

impl Session<'_> {
    /// Whether something comes before what is on the stream.
    pub(super) fn is_before_stream(&self) -> bool {
        self.prelude.as_ref().is_some_and(|prelude| !prelude.is_read)
    }

    /// Takes what is on the prelude in hand, as far as there is room, and removes it when all of it is passed.
    pub(super) async fn read_prelude(&mut self) -> Result<(), Error> {
        while let Some(prelude) = self.prelude.clone() {
            if prelude.is_read {
                if self.committed >= Some(prelude.behind) {
                    let place = &self.place;
                    place
                        .store()
                        .drop_prelude(&place.stream.key, &prelude.key)
                        .await?;
                    self.link.remove(&prelude.key).await?;
                    self.prelude = None;
                    tracing::info!(
                        stream = self.stream().key,
                        "passed what was no longer on the stream"
                    );
                }
                return Ok(());
            }
            if !self.window.has_room() || self.barrier.is_closed() {
                return Ok(());
            }
            let count = self.portion.count().min(READ_COUNT);
            let entries = self.link.range(&prelude.key, prelude.behind, count).await?;
            self.portion.learn(entries.iter().map(Entry::size));
            let read = match entries.last() {
                Some(last) => Prelude {
                    behind: last.id,
                    ..prelude
                },
                None => Prelude {
                    is_read: true,
                    ..prelude
                },
            };
            self.prelude = Some(read);
            for entry in entries {
                self.take(entry).await?;
            }
        }
        Ok(())
    }
}
