//! A leader's term: what it is given to publish with, for as long as its lease lasts.

use std::sync::Arc;

use tokio::sync::watch;

use super::Options;
use super::sink::Sink;
use crate::standing::Standing;
use crate::tail::lease::Lease;
use crate::tail::ledger::Head;
use crate::tail::pg::Session;

/// What a term needs.
pub struct Term {
    /// Where to publish.
    pub sink: Arc<dyn Sink>,
    /// A connection for reading the log. Only what is in flight uses it: the loop waiting on it for something else would
    /// wait behind rows that only the loop can take.
    pub reader: Session,
    /// A connection for recording progress and decisions.
    pub session: Session,
    /// The verified end of the ledger.
    pub head: Head,
    /// Prefix of stream keys.
    pub prefix: String,
    /// Settings.
    pub options: Options,
    /// The lease, as it is renewed.
    pub lease: watch::Receiver<Lease>,
    /// Where this process stands.
    pub standing: watch::Sender<Standing>,
    /// Becomes true when what is on the streams was compared with the ledger: nothing is trimmed or dropped before.
    pub compared: watch::Sender<bool>,
    /// Whether a stream stands still: what is said in the database of such streams is looked for while there are any.
    pub halted: watch::Sender<bool>,
}
