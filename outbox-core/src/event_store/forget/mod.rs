//! Forgetting a person: what events say of them is sealed with a key of their own, and the key can be destroyed.
//!
//! ```no_run
//! use outbox_core::append::NewEvent;
//! use outbox_core::event_store::forget::{Keyring, MasterKey, forget_subject};
//! use outbox_core::event_store::{self, Expected, StreamName, StreamRead};
//!
//! # async fn sign_up(pool: sqlx::PgPool, secret: [u8; 32]) -> Result<(), Box<dyn std::error::Error>> {
//! let keyring = Keyring::new("2026", MasterKey::new(secret));
//! let stream = StreamName::new("customer", 7)?;
//! let mut transaction = pool.begin().await?;
//! let signed_up = NewEvent::stored("customer.signed_up").json(&serde_json::json!({ "name": "Ada" }));
//! let sealed = keyring.seal(&mut transaction, &stream, "customer-7", signed_up).await?;
//! let _ = event_store::append(&mut transaction, &stream, Expected::NoStream, vec![sealed]).await?;
//! transaction.commit().await?;
//!
//! let mut connection = pool.acquire().await?;
//! let page = event_store::read_page(&mut connection, &StreamRead::of(&stream)).await?;
//! let opened = keyring.open(&mut connection, page).await?;
//! # let _ = opened;
//! // As a member of outbox_maintainer, when they ask for it:
//! forget_subject(&mut connection, "customer-7", "asked for by letter").await?;
//! # Ok(())
//! # }
//! ```
//!
//! Authoritative: `outbox.subject_key` (0021_subjects.sql), and `outbox.master_key` (0028_masters.sql) about which master keys still wrap. No key is kept in memory: each page asks, so that a destroyed key is
//! gone for all readers at once.
//!
//! Invariants:
//! * The master key never reaches the database, and no key of a subject does without being wrapped by it.
//! * A master key that was retired wraps no key of a subject from then on, whatever process has it.
//! * What is sealed is bound to its event id, stream and type: moved elsewhere, it cannot be opened.
//! * While a transaction appends with a key, the key is not destroyed; and nothing is sealed with a destroyed one.
//! * Where a key was destroyed, a read says [`Opened::Forgotten`], in projections too. That is no error, and never an empty payload.
//!
//! Failure: a master key that is not given, or a payload that was changed, is [`Error::Sealed`](crate::event_store::Error::Sealed),
//! and stops what reads.
//!
//! Deliberately absent: forgetting ids, types, times, tags, subjects of the envelope and names of streams, which are stored as they
//! are: put nothing there that tells who it is. And search in what is sealed.

mod cipher;

mod keyring;
pub use keyring::{Keyring, MasterKey};

mod opened;
pub(crate) use opened::is_sealed;
pub use opened::{Opened, SUBJECT_KEY};

mod pg;
pub use pg::{MasterKeyUse, forget_subject, master_keys, retire_master_key, rewrap_keys};

mod plain;
