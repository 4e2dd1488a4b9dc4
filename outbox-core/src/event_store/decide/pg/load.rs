//! Loading: events folded page by page.

use sqlx::PgConnection;

use super::super::decider::Decider;
use super::super::folded::Folded;
use super::super::outcome::Loaded;
use super::super::repository::Repository;
use crate::event_store::forget::Opened;
use crate::event_store::read::{StreamRead, first_page, stream_version};
use crate::event_store::typed::TypedEvent;
use crate::event_store::{Error, StreamName};

const LOADING: &str = "loading an aggregate";
/// A stream is read from its beginning again when it was truncated while it was read.
const READS_MAX: u32 = 3;

/// A page with what is sealed opened.
pub(super) struct OpenedPage {
    pub(super) events: Vec<Opened>,
    /// The stream had nothing behind it.
    is_last: bool,
    /// Of a page without events: at which version the stream was after that.
    version: u64,
}

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
        let (mut reads, mut end) = (1, 0);
        loop {
            let read = StreamRead::of(stream)
                .from_version(folded.version + 1)
                .limits(self.page);
            let page = self.opened_page(connection, &read).await?;
            // Nothing is left of what there was before this page was asked for.
            let mut is_cut = page.events.is_empty() && folded.version < end;
            if page.events.is_empty() && !is_cut {
                if folded.version == 0 || folded.version >= page.version {
                    return Ok(folded);
                }
                // Appended since, or truncated: the next look tells.
                end = page.version;
                continue;
            }
            for opened in &page.events {
                let stored = opened.stored();
                if !folded.is_next(stored.version) {
                    is_cut = true;
                    break;
                }
                let event = self.decoder.decode_opened(opened).map_err(Error::Unreadable)?;
                folded = folded.then::<D>(&event, stored.version);
                folded.is_personal |= !matches!(opened, Opened::Plain(_));
            }
            match is_cut {
                true if reads == READS_MAX => {
                    let said = format!(
                        "what followed version {} of stream {stream} was truncated while it was read, {reads} times",
                        folded.version
                    );
                    return Err(Error::shape(LOADING, said));
                }
                true => {
                    reads += 1;
                    end = 0;
                    folded = Folded::nothing::<D>();
                }
                false if page.is_last => return Ok(folded),
                false => {}
            }
        }
    }

    /// A page with what is sealed opened, where there is a keyring.
    pub(super) async fn opened_page(
        &self,
        connection: &mut PgConnection,
        read: &StreamRead,
    ) -> Result<OpenedPage, Error> {
        let page = first_page(connection, read).await?;
        let events = match &self.keyring {
            Some(keyring) => keyring.open(connection, page.events).await?,
            None => page.events.into_iter().map(Opened::Plain).collect(),
        };
        Ok(OpenedPage {
            is_last: page.next.is_none() && !events.is_empty(),
            version: page.version.unwrap_or(0),
            events,
        })
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
