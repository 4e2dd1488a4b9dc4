//! Pure: what comes with a command, and the ids of the events that it makes.

use uuid::Uuid;

use crate::append::NewEvent;
use crate::event_store::StreamName;

/// What comes with a command besides the command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "it does nothing by itself"]
pub struct Context {
    pub(super) command_id: Option<Uuid>,
    pub(super) correlation_id: Option<String>,
    pub(super) causation_id: Option<String>,
}

impl Context {
    /// Nothing.
    pub fn none() -> Self {
        Self::default()
    }

    /// The id of the command: the same command again, with this id, appends nothing and is answered with what it did.
    pub fn of_command(id: Uuid) -> Self {
        Self {
            command_id: Some(id),
            ..Self::default()
        }
    }

    /// What its events belong to.
    pub fn correlation_id(mut self, id: impl Into<String>) -> Self {
        self.correlation_id = Some(id.into());
        self
    }

    /// What caused its events.
    pub fn causation_id(mut self, id: impl Into<String>) -> Self {
        self.causation_id = Some(id.into());
        self
    }

    /// The event as it is appended for this command, at this place among the command's events.
    pub(super) fn dress(&self, mut event: NewEvent, stream: &StreamName, index: usize) -> NewEvent {
        if let Some(command_id) = self.command_id {
            event = event.id(event_id(command_id, stream, index));
        }
        if let Some(id) = &self.correlation_id {
            event = event.correlation_id(id);
        }
        if let Some(id) = &self.causation_id {
            event = event.causation_id(id);
        }
        event
    }
}

/// The id of an event of a command: UUIDv5 of the command's id, the stream and the place among its events, from 0. One command may
/// be given to several streams.
#[must_use]
pub fn event_id(command_id: Uuid, stream: &StreamName, index: usize) -> Uuid {
    Uuid::new_v5(&command_id, format!("{index}/{stream}").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_follow_the_command_the_stream_and_the_place() {
        let (command, order): (_, StreamName) = (Uuid::from_u128(7), "order-7".parse().expect("a name"));
        let other: StreamName = "order-8".parse().expect("a name");
        let first = event_id(command, &order, 0);
        // Stored ids depend on it: it never changes.
        assert_eq!(first.to_string(), "4d0ae41c-002a-5aaf-b6f8-86743b5377f2");
        assert_eq!(event_id(command, &order, 0), first);
        for different in [
            event_id(command, &order, 1),
            event_id(command, &other, 0),
            event_id(Uuid::from_u128(8), &order, 0),
        ] {
            assert_ne!(different, first);
        }
    }
}
