//! Loading: events folded page by page.

use sqlx::PgConnection;

use super::super::decider::Decider;
use super::super::folded::Folded;
use super::super::outcome::Loaded;
use super::super::repository::Repository;
use crate::event_store::forget::Opened;
use crate::event_store::read::{StreamRead, read_page, stream_version};
use crate::event_store::typed::TypedEvent;
use crate::event_store::{Error, StreamName};

const LOADING: &str = "loading an aggregate";
/// A stream is read from its beginning again when it was truncated while it was read.
const READS_MAX: u32 = 3;

impl<D: Decider<Event: TypedEvent>> Repository<D> {
    /// The state of a stream. One that is not there has the initial state, at version 0.
    ///
    /// # Errors
    /// When the database cannot be read, an event is of no type and version that the program knows, or the stream was given a
    /// tombstone.
    pub async fn load(
        &self,
        connection: &mut PgConnection,
        stream: &StreamName,
    ) -> Result<Loaded<D::State>, Error> {
        Ok(self.folded(connection, stream).await?.loaded())
    }

    pub(super) async fn folded(
        &self,
        connection: &mut PgConnection,
        stream: &StreamName,
    ) -> Result<Folded<D::State>, Error> {
        let begun = self.begun(connection, stream).await?;
        let folded = self.read_on(connection, stream, begun).await?;
        if folded.version > 0 {
            return Ok(folded);
        }
        self.at_end(connection, stream, folded).await
    }

    /// Folds what is behind the version, page by page, to the end of the stream.
    pub(super) async fn read_on(
        &self,
        connection: &mut PgConnection,
        stream: &StreamName,
        mut folded: Folded<D::State>,
    ) -> Result<Folded<D::State>, Error> {
        let mut reads = 1;
        loop {
            let read = StreamRead::of(stream)
                .from_version(folded.version + 1)
                .limits(self.page);
            let page = self.opened_page(connection, &read).await?;
            if page.is_empty() {
                return Ok(folded);
            }
            for opened in &page {
                let stored = opened.stored();
                if folded.is_next(stored.version) {
                    let event = self.decoder.decode_opened(opened).map_err(Error::Unreadable)?;
                    folded = folded.then::<D>(&event, stored.version);
                    folded.is_personal |= !matches!(opened, Opened::Plain(_));
                    continue;
                }
                if reads == READS_MAX {
                    let said = format!(
                        "stream {stream} has no event between {} and {}: it was truncated while it was read, {reads} times",
                        folded.version, stored.version
                    );
                    return Err(Error::shape(LOADING, said));
                }
                reads += 1;
                folded = Folded::nothing::<D>();
                break;
            }
        }
    }

    /// A page with what is sealed opened, where there is a keyring.
    pub(super) async fn opened_page(
        &self,
        connection: &mut PgConnection,
        read: &StreamRead,
    ) -> Result<Vec<Opened>, Error> {
        let page = read_page(connection, read).await?;
        match &self.keyring {
            Some(keyring) => keyring.open(connection, page).await,
            None => Ok(page.into_iter().map(Opened::Plain).collect()),
        }
    }

    /// A stream may have a version and no events left behind the one that was read: they were truncated. Its end is asked for first,
    /// and then read again: what was appended in between is not taken for truncated.
    pub(super) async fn at_end(
        &self,
        connection: &mut PgConnection,
        stream: &StreamName,
        folded: Folded<D::State>,
    ) -> Result<Folded<D::State>, Error> {
        let end = stream_version(connection, stream).await?;
        let mut folded = self.read_on(connection, stream, folded).await?;
        folded.version = folded.version.max(end);
        Ok(folded)
    }
}
