//! Pure: what identifies input that carries no id of its own, such as a webhook that its sender repeats under a new one.
//!
//! An identity is a hash of the event's type and of what is compared. Nothing of the event can be read from it.

use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::event::{Data, Event};

/// By what two events of a topic are one and the same input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// Type and correlation id. An event without a correlation id has no identity.
    CorrelationId,
    /// Type and payload, byte for byte. An event without a payload has no identity.
    Content,
}

/// How input of a topic is recognised, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::consume) struct Deduplication {
    pub(in crate::consume) identity: Identity,
    /// From the first event with an identity on; what comes later is new.
    pub(in crate::consume) window: Duration,
}

impl Identity {
    /// The identity of an event; none where the event has nothing to compare.
    #[must_use]
    pub fn of(self, event: &Event) -> Option<[u8; 32]> {
        let (kind, compared) = match self {
            Self::CorrelationId => (b'r', event.correlation_id.as_ref()?.as_bytes()),
            Self::Content => (b'c', event.data.as_ref().map(Data::as_bytes)?),
        };
        let mut hash = Sha256::new();
        hash.update([kind]);
        // The length keeps a type from reaching into what follows it.
        hash.update((event.r#type.len() as u64).to_be_bytes());
        hash.update(event.r#type.as_bytes());
        hash.update(compared);
        Some(hash.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(id: &str, r#type: &str, payload: &str) -> Event {
        let mut event = Event::new(id, "/shop", r#type);
        event.data = Some(Data::Text(payload.to_owned()));
        event.correlation_id = Some(format!("order-{payload}"));
        event
    }

    #[test]
    fn the_same_type_and_content_are_the_same_input_whatever_the_id() {
        for identity in [Identity::Content, Identity::CorrelationId] {
            let first = identity.of(&event("1", "paid", "7"));
            assert_eq!(first, identity.of(&event("2", "paid", "7")), "{identity:?}");
            assert_ne!(first, identity.of(&event("3", "paid", "8")), "{identity:?}");
            assert_ne!(first, identity.of(&event("4", "refunded", "7")), "{identity:?}");
        }
    }

    #[test]
    fn a_type_does_not_reach_into_the_content() {
        assert_ne!(
            Identity::Content.of(&event("1", "a", "bc")),
            Identity::Content.of(&event("1", "ab", "c"))
        );
    }

    #[test]
    fn content_and_correlation_ids_do_not_meet() {
        let mut event = event("1", "t", "x");
        event.correlation_id = Some("x".to_owned());
        assert_ne!(Identity::Content.of(&event), Identity::CorrelationId.of(&event));
    }

    #[test]
    fn without_anything_to_compare_there_is_no_identity() {
        let bare = Event::new("1", "/shop", "t");
        assert_eq!(Identity::Content.of(&bare), None);
        assert_eq!(Identity::CorrelationId.of(&bare), None);
    }
}
