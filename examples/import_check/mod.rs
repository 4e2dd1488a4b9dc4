//! Real files through the importer and the relay: what is on the streams is what is in the files, byte for byte.
//!
//! Two inputs: a CSV of orders, each row a life cycle of up to four events of one key, and NDJSON of webhooks, packed. The
//! import of the first is killed once in the middle and run again; both are run once more at the end and must add nothing.
//!
//! Authoritative are the files, read here in another way than the importer reads them.

mod expected;

mod importer;

mod pg;

mod redis;

mod run;
pub use run::run;
