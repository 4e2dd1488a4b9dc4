//! Every metric of the library: name, unit and meaning in one place. Labels are few and of low cardinality (topics,
//! causes), never keys, ids or payloads.

/// Batches cut (counter).
pub const TAIL_BATCHES: &str = "outbox_tail_batches_total";
/// Events in the batches cut (counter).
pub const TAIL_EVENTS: &str = "outbox_tail_events_total";
/// Events in a batch (histogram).
pub const TAIL_BATCH_SIZE: &str = "outbox_tail_batch_size_events";
/// Times the leader woke up, by `cause`: ring or slow_poll (counter).
pub const TAIL_WAKE_UPS: &str = "outbox_tail_wake_ups_total";
/// 1 while this process leads (gauge).
pub const TAIL_LEADER: &str = "outbox_tail_leader";
/// Entries confirmed by the sink, by `topic` (counter).
pub const PUBLISH_EVENTS: &str = "outbox_publish_events_total";
/// Entries that were already on the stream when they were sent again, by `topic` (counter).
pub const PUBLISH_REPEATED: &str = "outbox_publish_repeated_total";
/// Events that the sink will never take, by `topic` (counter).
pub const PUBLISH_REJECTED: &str = "outbox_publish_rejected_total";
/// Shares sent again after the sink failed (counter).
pub const PUBLISH_RETRIES: &str = "outbox_publish_retries_total";
/// Streams that were found to have lost entries (counter), by `topic`.
pub const PUBLISH_LOST: &str = "outbox_publish_lost_streams_total";
/// Time from recording an event to its confirmation by the sink, in seconds (histogram).
pub const PUBLISH_DELAY: &str = "outbox_publish_delay_seconds";
/// Streams that wait for a person or for their cause to end (gauge).
pub const PUBLISH_HALTED: &str = "outbox_publish_halted_streams";
/// 1 while the sink takes entries, 0 while the breaker is open (gauge).
pub const PUBLISH_SINK_UP: &str = "outbox_publish_sink_up";
/// Pieces of the partitioned tables made, by `parent` (counter).
pub const TAIL_PIECES_MADE: &str = "outbox_tail_pieces_made_total";
/// Pieces dropped after their retention, by `parent` (counter).
pub const TAIL_PIECES_DROPPED: &str = "outbox_tail_pieces_dropped_total";
