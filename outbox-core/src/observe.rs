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
/// Times that too few replicas of the sink had what was sent in time, or said so (counter).
pub const PUBLISH_UNREPLICATED: &str = "outbox_publish_unreplicated_total";
/// Streams that were found to have lost entries (counter), by `topic`.
pub const PUBLISH_LOST: &str = "outbox_publish_lost_streams_total";
/// Time from recording an event to its confirmation by the sink, in seconds (histogram).
pub const PUBLISH_DELAY: &str = "outbox_publish_delay_seconds";
/// Streams that wait for a person or for their cause to end (gauge).
pub const PUBLISH_HALTED: &str = "outbox_publish_halted_streams";
/// 1 while the sink takes entries, 0 while the breaker is open (gauge).
pub const PUBLISH_SINK_UP: &str = "outbox_publish_sink_up";
/// Entries taken off streams, by `topic` (counter).
pub const PUBLISH_TRIMMED: &str = "outbox_publish_trimmed_total";
/// Of those, entries that the hard cap took off before a registered group had acknowledged them, by `topic` (counter).
pub const PUBLISH_LOST_UNREAD: &str = "outbox_publish_lost_unread_total";
/// Streams on which a group keeps entries that are old enough to go (gauge).
pub const PUBLISH_HELD_STREAMS: &str = "outbox_publish_held_streams";
/// Entries that groups miss, by `state`: asked (all of them) or refused (the relay cannot put them out again) (gauge).
pub const PUBLISH_HOLES: &str = "outbox_publish_holes";
/// Streams put out again from behind the last entry that was kept, by `topic` (counter).
pub const PUBLISH_REISSUES: &str = "outbox_publish_reissues_total";
/// Events of re-issues that are running and not on their streams yet, by `topic` (gauge).
pub const PUBLISH_REISSUE_LEFT: &str = "outbox_publish_reissue_left_events";
/// Events that streams lost at the sink and that cannot be put out again, by `topic` (counter).
pub const PUBLISH_LOST_EVENTS: &str = "outbox_publish_lost_events_total";
/// Pieces of the partitioned tables made, by `parent` (counter).
pub const TAIL_PIECES_MADE: &str = "outbox_tail_pieces_made_total";
/// Pieces dropped after their retention, by `parent` (counter).
pub const TAIL_PIECES_DROPPED: &str = "outbox_tail_pieces_dropped_total";
/// Committed events that are not on their streams yet, by `topic`; the topics beyond a hundred are summed as `other` (gauge).
pub const OPS_BACKLOG: &str = "outbox_ops_backlog_events";
/// How long the oldest of them has waited, by `topic`, in seconds (gauge).
pub const OPS_OLDEST: &str = "outbox_ops_oldest_unpublished_age_seconds";
/// Streams that do not move, by `state`: set_aside or blocked (gauge).
pub const OPS_STOPPED: &str = "outbox_ops_stopped_streams";
/// Open transactions that appended and hold their own events back (gauge).
pub const OPS_WAITING: &str = "outbox_ops_waiting_transactions";
/// Age of the oldest of them, in seconds (gauge).
pub const OPS_WAITING_AGE: &str = "outbox_ops_oldest_waiting_transaction_age_seconds";
/// How full the notification queue of the cluster is, 0 to 1 (gauge).
pub const OPS_NOTIFICATION_QUEUE: &str = "outbox_ops_notification_queue_ratio";
/// When these were last read, in seconds since 1970: stale when Postgres does not answer (gauge).
pub const OPS_SAMPLED: &str = "outbox_ops_sampled_timestamp_seconds";
