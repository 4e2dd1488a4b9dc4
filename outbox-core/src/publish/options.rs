//! How publishing behaves; every default with its reason.

use std::time::Duration;

/// How an event is laid out in a stream entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// One field `event` holding CloudEvents JSON. Any consumer can read it.
    #[default]
    Structured,
    /// One field per attribute and one with the payload's bytes. Smaller for binary payloads.
    Binary,
}

/// Settings of the publish stage.
#[derive(Clone, Debug)]
pub struct Options {
    /// Layout of an entry. Default structured.
    pub mode: Mode,
    /// Most entries in one parcel. Default 500: a transaction of the sink costs 5–8 % at that size, and a parcel stays
    /// far below the time that other clients would notice.
    pub parcel_rows: usize,
    /// Most payload bytes in one parcel (one event may exceed it alone). Default 1 MiB.
    pub parcel_bytes: usize,
    /// Most rows read from the log at once for one stream; half as many while payloads are larger than `chunk_bytes` has room for so
    /// many. Default 1,000.
    pub chunk_rows: usize,
    /// Most payload bytes read at once. Default 2 MiB.
    pub chunk_bytes: usize,
    /// Rows held in memory for all streams together; beyond it they are read again later. Default 32 MiB.
    pub memory_bytes: usize,
    /// The largest entry that the sink takes. Default 32 MiB: above the hard limit of a payload in base64.
    pub max_entry_bytes: usize,
    /// First pause after the sink failed. Default 50 ms.
    pub backoff_min: Duration,
    /// Longest pause. Default 5 s.
    pub backoff_max: Duration,
    /// Events per second of all streams that are put out again; 0 is no bound. Default 10,000: a fraction of what a sink takes.
    pub reissue_rate: u32,
    /// How often progress is recorded while there is any. Default 100 ms.
    pub progress_every: Duration,
    /// How often streams are compared with what was confirmed, and decisions of people are looked for. Default 1 s.
    pub compare_every: Duration,
    /// How long what is in hand may take at a graceful stop. Default 10 s.
    pub drain_limit: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            mode: Mode::Structured,
            parcel_rows: 500,
            parcel_bytes: 1 << 20,
            chunk_rows: 1_000,
            chunk_bytes: 2 << 20,
            memory_bytes: 32 << 20,
            max_entry_bytes: 32 << 20,
            backoff_min: Duration::from_millis(50),
            backoff_max: Duration::from_secs(5),
            reissue_rate: 10_000,
            progress_every: Duration::from_millis(100),
            compare_every: Duration::from_secs(1),
            drain_limit: Duration::from_secs(10),
        }
    }
}
