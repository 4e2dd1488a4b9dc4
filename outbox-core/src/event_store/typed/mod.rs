//! Events as values of an enum of yours: what is written, and how what was written years ago is still read.
//!
//! ```
//! use outbox_core::event_store::typed::{Decoder, EventType, TypedEvent, Upcasters, encode};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Debug, PartialEq, Serialize, Deserialize)]
//! #[serde(tag = "type", content = "data")]
//! enum OrderEvent {
//!     #[serde(rename = "order.placed")]
//!     Placed { customer: String },
//!     #[serde(rename = "order.paid")]
//!     Paid { cents: u64 },
//! }
//!
//! impl TypedEvent for OrderEvent {
//!     const TYPES: &'static [EventType] = &[EventType::new("order.placed", 1), EventType::new("order.paid", 2)];
//!
//!     fn upcasters() -> Upcasters {
//!         // Version 1 counted whole euros.
//!         Upcasters::none().upcast("order.paid", 1, |mut data| {
//!             let euros = data["euros"].as_u64().ok_or("no euros")?;
//!             data["cents"] = (euros * 100).into();
//!             Ok(data)
//!         })
//!     }
//! }
//!
//! let decoder = Decoder::<OrderEvent>::new()?;
//! let paid = decoder.decode_data("order.paid", Some("1"), Some(r#"{"euros":12}"#))?;
//! assert_eq!(paid, OrderEvent::Paid { cents: 1200 });
//! let new_event = encode(&paid)?;
//! # let _ = new_event;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Authoritative: what is stored. It is never rewritten; an upcaster changes what a reader sees.
//!
//! Invariants:
//! * The name of a type is what `#[serde(rename = "…")]` says: it does not follow the names and paths of Rust.
//! * What was serialised is stored byte for byte; what needs no upcaster is read from the stored text itself.
//! * An event of a type or version that nobody knows is an error, never passed over.
//!
//! Failure: [`Unreadable`] names type, version, stream and place, and what to do; it never shows the payload.
//!
//! Deliberately absent: a registry of schemas, and writing older versions.

mod decoder;
pub use decoder::{Decoder, Incoherent};

mod encode;
pub use encode::encode;

mod event_type;
pub use event_type::{EventType, TypedEvent};

pub mod golden;

mod unreadable;
pub use unreadable::{Fault, Unreadable};

mod upcast;
pub use upcast::Upcasters;
