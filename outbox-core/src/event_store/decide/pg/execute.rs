//! A command: loaded, decided, appended, and decided again where somebody else was faster.

use sqlx::PgConnection;
use uuid::Uuid;

use super::super::command::{Context, event_id};
use super::super::decider::Decider;
use super::super::folded::Folded;
use super::super::outcome::{Decided, ExecuteError};
use super::super::repository::Repository;
use crate::append::NewEvent;
use crate::event_store::read::StreamRead;
use crate::event_store::typed::TypedEvent;
use crate::event_store::{Conflict, Error, Expected, Outcome, StreamName, append, find_appended};

impl<D: Decider<Event: TypedEvent>> Repository<D> {
    /// Decides a command on the state of a stream, and appends what follows. Where somebody else was faster, what they appended is
    /// read, and the command decided again: in this same transaction, which sees what others have committed.
    ///
    /// The events are in the stream when the transaction commits.
    ///
    /// # Errors
    /// When the domain refuses the command, when the stream is somewhere else at each attempt, or when the store fails.
    pub async fn execute(
        &self,
        connection: &mut PgConnection,
        stream: &StreamName,
        command: &D::Command,
        context: &Context,
    ) -> Result<Decided<D>, ExecuteError<D::Refusal>> {
        if let Some(command_id) = context.command_id
            && let Some(done) = self.done_before(connection, stream, command_id).await?
        {
            return Ok(done);
        }
        let mut folded = self.folded(connection, stream).await?;
        let mut attempt = 1;
        loop {
            let events = D::decide(command, &folded.state).map_err(ExecuteError::Refused)?;
            let to_append = self.to_append(&events, stream, context)?;
            folded.is_personal |= to_append.iter().any(|(_, subject)| subject.is_some());
            let to_append = self.sealed(connection, stream, to_append).await?;
            let Some(last_event) = to_append.last().map(NewEvent::event_id) else {
                return Ok(Decided::Unchanged(folded.loaded()));
            };
            let expected = Expected::Version(folded.version);
            match append(connection, stream, expected, to_append).await? {
                Outcome::Appended { positions, .. } => {
                    for event in &events {
                        let version = folded.version + 1;
                        folded = folded.then::<D>(event, version);
                    }
                    self.leave_snapshot(connection, stream, &folded, last_event)
                        .await?;
                    return Ok(Decided::Appended {
                        after: folded.loaded(),
                        events,
                        positions,
                    });
                }
                Outcome::AlreadyAppended { version, positions } => {
                    return Ok(Decided::AlreadyAppended {
                        version,
                        events,
                        positions,
                    });
                }
                Outcome::Conflict { actual } if attempt >= self.attempts => {
                    return Err(ExecuteError::Conflict(Conflict {
                        stream: stream.clone(),
                        expected,
                        actual,
                    }));
                }
                Outcome::Conflict { .. } => {
                    attempt += 1;
                    folded = self.caught_up(connection, stream, folded).await?;
                }
            }
        }
    }

    /// The events with what is about somebody sealed.
    pub(super) async fn sealed(
        &self,
        connection: &mut PgConnection,
        stream: &StreamName,
        to_append: Vec<(NewEvent, Option<String>)>,
    ) -> Result<Vec<NewEvent>, Error> {
        let mut sealed = Vec::with_capacity(to_append.len());
        for (event, subject) in to_append {
            sealed.push(match (subject, &self.keyring) {
                (None, _) => event,
                (Some(subject), Some(keyring)) => keyring.seal(connection, stream, &subject, event).await?,
                (Some(_), None) => {
                    return Err(Error::refused(
                        "an event is about somebody (data_subject), and this repository has no keyring to seal it with",
                    ));
                }
            });
        }
        Ok(sealed)
    }

    /// The state with what others appended meanwhile.
    async fn caught_up(
        &self,
        connection: &mut PgConnection,
        stream: &StreamName,
        folded: Folded<D::State>,
    ) -> Result<Folded<D::State>, Error> {
        let before = folded.version;
        let folded = self.read_on(connection, stream, folded).await?;
        if folded.version > before {
            return Ok(folded);
        }
        self.at_end(connection, stream, folded).await
    }

    /// What this command did before, if it is in the stream. The stream is locked from here on: where the same command is at work
    /// in another transaction, its end is waited for.
    pub(super) async fn done_before(
        &self,
        connection: &mut PgConnection,
        stream: &StreamName,
        command_id: Uuid,
    ) -> Result<Option<Decided<D>>, Error> {
        let first = [event_id(command_id, stream, 0)];
        let Some((_, from, _)) = find_appended(connection, stream, &first).await?.pop() else {
            return Ok(None);
        };
        let (mut version, mut events, mut positions) = (from.saturating_sub(1), Vec::new(), Vec::new());
        'pages: loop {
            let read = StreamRead::of(stream).from_version(version + 1).limits(self.page);
            let page = self.opened_page(connection, &read).await?;
            if page.events.is_empty() {
                break;
            }
            for opened in page.events {
                let stored = opened.stored();
                if stored.event.id != event_id(command_id, stream, events.len()).to_string() {
                    break 'pages;
                }
                events.push(self.decoder.decode_opened(&opened).map_err(Error::Unreadable)?);
                positions.push(stored.position);
                version = stored.version;
            }
        }
        Ok(Some(Decided::AlreadyAppended {
            version,
            events,
            positions,
        }))
    }
}
