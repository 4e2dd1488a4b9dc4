//! What happens to an order. Pure.

use outbox_core::append::NewEvent;
use outbox_core::event_store::decide::event_id;
use outbox_core::event_store::typed::{EventType, TypedEvent, encode};
use outbox_core::event_store::{Error, StreamName};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::serde::rfc3339;
use uuid::Uuid;

/// What ids of steps are made under. Stored ids depend on it: it never changes.
const STEPS: Uuid = Uuid::from_u128(0x0b7e_5e1f_4c1a_4f0e_9d43_6f72_6465_7273);

/// A step of an order. Of some the shop never wrote down when they were.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data")]
pub(super) enum OrderEvent {
    #[serde(rename = "order.placed")]
    Placed {
        customer: String,
        #[serde(with = "rfc3339")]
        at: OffsetDateTime,
        #[serde(with = "rfc3339")]
        promised: OffsetDateTime,
    },
    #[serde(rename = "order.paid")]
    Paid {
        #[serde(with = "rfc3339::option")]
        at: Option<OffsetDateTime>,
    },
    #[serde(rename = "order.processing")]
    Processing,
    #[serde(rename = "order.invoiced")]
    Invoiced,
    #[serde(rename = "order.shipped")]
    Shipped {
        #[serde(with = "rfc3339::option")]
        at: Option<OffsetDateTime>,
    },
    #[serde(rename = "order.delivered")]
    Delivered {
        #[serde(with = "rfc3339::option")]
        at: Option<OffsetDateTime>,
    },
    #[serde(rename = "order.unavailable")]
    Unavailable,
    #[serde(rename = "order.canceled")]
    Canceled,
}

impl TypedEvent for OrderEvent {
    const TYPES: &'static [EventType] = &[
        EventType::new("order.placed", 1),
        EventType::new("order.paid", 1),
        EventType::new("order.processing", 1),
        EventType::new("order.invoiced", 1),
        EventType::new("order.shipped", 1),
        EventType::new("order.delivered", 1),
        EventType::new("order.unavailable", 1),
        EventType::new("order.canceled", 1),
    ];
}

/// Where an order is. The furthest step says it, in whatever order steps became known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Status {
    Created,
    Approved,
    Processing,
    Invoiced,
    Shipped,
    Delivered,
    Unavailable,
    Canceled,
}

impl Status {
    const ALL: [Self; 8] = [
        Self::Created,
        Self::Approved,
        Self::Processing,
        Self::Invoiced,
        Self::Shipped,
        Self::Delivered,
        Self::Unavailable,
        Self::Canceled,
    ];

    /// As the shop's file has it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Approved => "approved",
            Self::Processing => "processing",
            Self::Invoiced => "invoiced",
            Self::Shipped => "shipped",
            Self::Delivered => "delivered",
            Self::Unavailable => "unavailable",
            Self::Canceled => "canceled",
        }
    }

    pub(super) fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.word() == word)
    }

    /// Whether nothing happens to an order after it.
    pub(super) fn is_closed(self) -> bool {
        matches!(self, Self::Unavailable | Self::Canceled)
    }
}

impl OrderEvent {
    /// Where it leaves an order, unless that is further already.
    pub(super) fn status(&self) -> Status {
        match self {
            Self::Placed { .. } => Status::Created,
            Self::Paid { .. } => Status::Approved,
            Self::Processing => Status::Processing,
            Self::Invoiced => Status::Invoiced,
            Self::Shipped { .. } => Status::Shipped,
            Self::Delivered { .. } => Status::Delivered,
            Self::Unavailable => Status::Unavailable,
            Self::Canceled => Status::Canceled,
        }
    }

    /// When it was, where that is known.
    pub(super) fn at(&self) -> Option<OffsetDateTime> {
        match self {
            Self::Placed { at, .. } => Some(*at),
            Self::Paid { at } | Self::Shipped { at } | Self::Delivered { at } => *at,
            Self::Processing | Self::Invoiced | Self::Unavailable | Self::Canceled => None,
        }
    }

    /// The id of the command that reports it: of the stream, the step and what it says, so that the same row again is known, and a
    /// row that says something else is a conflict and not passed over.
    pub(super) fn command_id(&self, stream: &StreamName) -> Result<Uuid, Error> {
        let said = serde_json::to_string(self).map_err(|error| Error::Refused {
            said: error.to_string(),
        })?;
        let name = format!("{stream} {said}");
        Ok(Uuid::new_v5(&STEPS, name.as_bytes()))
    }

    /// As it is appended without a decision, with the id that it would have by one.
    pub(super) fn to_append(&self, stream: &StreamName) -> Result<NewEvent, Error> {
        let id = event_id(self.command_id(stream)?, stream, 0);
        Ok(self.timed(encode(self)?).id(id))
    }

    /// The event with the time that it was.
    pub(super) fn timed(&self, event: NewEvent) -> NewEvent {
        match self.at() {
            Some(at) => event.time(at),
            None => event,
        }
    }
}
