//! The shop under fire: eight customers, a till, two relays and two consumers, while the leading relay is killed twice and
//! Redis once. At the end the shop's own tables are compared with the log, the stream and both consumers' effects.
//!
//! Authoritative for the verdict are the tables, read after everything came to rest; the counters on the screen are for show.
//!
//! Invariants:
//! * A run in which a kill did not happen, nobody took over, or nothing was sold, rolled back or held open, fails.
//! * Nothing is left behind, whatever ends it: private servers and relays have guards, borrowed databases are emptied.
//!   Only on borrowed servers does a SIGKILL of the demo itself leave its databases.
//!
//! Deliberately absent: restarting a Redis that is not ours, and touching a database that is in use.

mod ground;

mod claim;

mod pg;

mod redis;

mod crew;

mod fault;

mod sample;

mod board;

mod audit;

mod report;

mod run;
pub use run::{Arguments, run};

/// The stream of the shop's topic.
const STREAM: &str = "outbox:orders";
/// A topic for people to try, once the demo is over.
const TOPIC_TO_TRY: &str = "hello.said";
