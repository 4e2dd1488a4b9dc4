//! A command that is decided on events of any streams: read by their tags, decided, appended if nothing came meanwhile, and else decided again.

use sqlx::PgConnection;

use super::super::bounded::BoundedDecider;
use super::super::command::Context;
use super::super::outcome::{Decided, DecidedWithin, ExecuteError};
use super::super::repository::Repository;
use crate::append::NewEvent;
use crate::event_store::boundary::{Condition, Conditional, TaggedRead, append_if, read_tagged_page};
use crate::event_store::forget::Opened;
use crate::event_store::typed::TypedEvent;
use crate::event_store::{Conflict, Cursor, Error, Expected, StreamName};

impl<D: BoundedDecider<Event: TypedEvent>> Repository<D> {
    /// Decides a command on the events of its boundary, and appends what follows to a stream, at any version. Where an event of the
    /// boundary came meanwhile, all of them are read again, and the command decided again: in this same transaction, which sees what
    /// others have committed, and holds the tags since the first attempt: those of the boundary, and those of what was decided. Where
    /// attempts decide on events of other tags, two such commands may wait for each other in a circle; Postgres ends one of the two.
    ///
    /// A stream may be there for this one decision (`subscription-<id>`): streams lock their appends, and tags are what guards.
    ///
    /// # Errors
    /// When the domain refuses the command, when each attempt was overtaken, or when the store fails.
    pub async fn execute_within(
        &self,
        connection: &mut PgConnection,
        stream: &StreamName,
        command: &D::Command,
        context: &Context,
    ) -> Result<DecidedWithin<D>, ExecuteError<D::Refusal>> {
        if let Some(command_id) = context.command_id
            && let Some(Decided::AlreadyAppended {
                events, positions, ..
            }) = self.done_before(connection, stream, command_id).await?
        {
            return Ok(DecidedWithin::AlreadyAppended { events, positions });
        }
        let boundary = D::boundary(command);
        let mut attempt = 1;
        loop {
            let (state, cursor) = self.load_within(connection, &boundary).await?;
            let events = D::decide(command, &state).map_err(ExecuteError::Refused)?;
            if events.is_empty() {
                return Ok(DecidedWithin::Unchanged(state));
            }
            let to_append = self.tagged(&events, stream, context)?;
            let to_append = self.sealed(connection, stream, to_append).await?;
            match append_if(connection, &boundary, &cursor, stream, Expected::Any, to_append).await? {
                Conditional::Appended(appended) => {
                    return Ok(DecidedWithin::Appended {
                        state: events.iter().fold(state, D::evolve),
                        events,
                        positions: appended.into_iter().flat_map(|one| one.positions).collect(),
                    });
                }
                Conditional::AlreadyAppended(appended) => {
                    return Ok(DecidedWithin::AlreadyAppended {
                        events,
                        positions: appended.into_iter().flat_map(|one| one.positions).collect(),
                    });
                }
                Conditional::Unmet(unseen) if attempt >= self.attempts => {
                    return Err(ExecuteError::Overtaken(unseen));
                }
                Conditional::Unmet(_) => attempt += 1,
                Conditional::Conflict(conflicts) => return Err(unexpected(conflicts)),
            }
        }
    }

    /// The state that the events of a boundary make, and the cursor of what was read.
    ///
    /// # Errors
    /// When the database cannot be read, or an event is of no type and version that the program knows.
    pub async fn load_within(
        &self,
        connection: &mut PgConnection,
        boundary: &Condition,
    ) -> Result<(D::State, Cursor), Error> {
        let mut state = D::initial();
        let mut read = TaggedRead::of(boundary).limits(self.page);
        loop {
            let page = read_tagged_page(connection, &read).await?;
            let opened = match &self.keyring {
                Some(keyring) => keyring.open(connection, page.events).await?,
                None => page.events.into_iter().map(Opened::Plain).collect(),
            };
            for event in &opened {
                state = D::evolve(
                    state,
                    &self.decoder.decode_opened(event).map_err(Error::Unreadable)?,
                );
            }
            if page.is_end {
                return Ok((state, page.cursor));
            }
            read = read.behind(page.cursor);
        }
    }

    /// The events of a decision as they are appended, with their tags, each with whom it is about.
    fn tagged(
        &self,
        events: &[D::Event],
        stream: &StreamName,
        context: &Context,
    ) -> Result<Vec<(NewEvent, Option<String>)>, Error> {
        let to_append = self.to_append(events, stream, context)?;
        Ok(to_append
            .into_iter()
            .zip(events)
            .map(|((new, subject), event)| (D::tags(event).into_iter().fold(new, NewEvent::tag), subject))
            .collect())
    }
}

/// Any version is expected, and none can be another.
fn unexpected<R>(conflicts: Vec<Conflict>) -> ExecuteError<R> {
    match conflicts.into_iter().next() {
        Some(conflict) => ExecuteError::Conflict(conflict),
        None => ExecuteError::Store(Error::shape(
            "appending under a condition",
            "a conflict of no stream",
        )),
    }
}
