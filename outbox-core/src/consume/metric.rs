//! The names of this stage's metrics. Labels: `consumer`, `stream`; of failures also `class`, of attempts `outcome`; of a member only
//! `consumer`.

use metrics::{Counter, Gauge, Histogram, Label, counter, gauge, histogram};

/// Counter: events whose effect was committed.
pub const APPLIED: &str = "outbox_consume_applied_total";
/// Counter: events that had their effect before; acknowledged without another.
pub const DUPLICATES: &str = "outbox_consume_duplicates_total";
/// Counter: entries passed before, or taken out of their place by a re-issue.
pub const SUPERSEDED: &str = "outbox_consume_superseded_total";
/// Counter: events of types that this consumer does not handle.
pub const SKIPPED: &str = "outbox_consume_skipped_total";
/// Counter: attempts, by outcome: applied, retried, dead, waiting_version (nobody here knows it yet) or dependency (what the
/// handler needs is down; counts for nothing).
pub const ATTEMPTS: &str = "outbox_consume_attempts_total";
/// Counter: failed attempts, by class.
pub const FAILURES: &str = "outbox_consume_failures_total";
/// Counter: events parked: they failed and are tried again, or wait behind one of their key.
pub const PARKED: &str = "outbox_consume_parked_events_total";
/// Counter: parked events whose effect was committed.
pub const DRAINED: &str = "outbox_consume_drained_events_total";
/// Gauge: 1 while something that the handler needs is down, and one event is tried now and then.
pub const BREAKER: &str = "outbox_consume_breaker_open";
/// Counter: events passed without effect because another one said the same before.
pub const REPEATED: &str = "outbox_consume_repeated_inputs_total";
/// Counter: events given up.
pub const DEAD: &str = "outbox_consume_dead_letters_total";
/// Gauge: entries that wait for a predecessor.
pub const HELD: &str = "outbox_consume_held_entries";
/// Gauge: 1 while a predecessor is neither pending nor to come: somebody must look.
pub const HOLE: &str = "outbox_consume_hole";
/// Counter: pending entries that were deleted from the stream before they were applied.
pub const DELETED: &str = "outbox_consume_deleted_entries_total";
/// Gauge: entries in hand.
pub const IN_HAND: &str = "outbox_consume_in_hand_entries";
/// Gauge: 1 while this member applies the stream.
pub const LEADING: &str = "outbox_consume_leading";
/// Counter: times the group had to be made again because the stream lost it.
pub const GROUPS_MADE: &str = "outbox_consume_groups_made_total";
/// Counter: times the group was set back, because it had been delivered what its inbox does not know.
pub const GROUPS_SET_BACK: &str = "outbox_consume_groups_set_back_total";
/// Histogram, seconds: one transaction of one or several events.
pub const TRANSACTION_SECONDS: &str = "outbox_consume_transaction_seconds";
/// Histogram, seconds: from the event's record in the log to the commit of its effect.
pub const DELAY_SECONDS: &str = "outbox_consume_delay_seconds";
/// Gauge, seconds, labelled with `consumer` only: how long ids of events must be kept at least; infinite for ever.
pub const INBOX_FLOOR: &str = "outbox_consume_inbox_floor_seconds";
/// Gauge, seconds, labelled with `consumer` only: how long they are kept; infinite for ever.
pub const INBOX_KEPT: &str = "outbox_consume_inbox_kept_seconds";

/// Gauge: members of the group that were seen lately, this one included.
pub const MEMBERS: &str = "outbox_consume_members";
/// Gauge: streams that this member applies.
pub const STREAMS: &str = "outbox_consume_streams";
/// Gauge: streams that no member may take, by their static assignments: somebody must look.
pub const UNASSIGNED: &str = "outbox_consume_unassigned_streams";
/// Counter: streams that this member gave back so that another one has as many.
pub const REBALANCES: &str = "outbox_consume_rebalances_total";

/// Gauge: entries that are not passed yet.
pub const LAG_EVENTS: &str = "outbox_consume_lag_events";
/// Gauge, seconds: how long the first of them has been on the stream.
pub const LAG_SECONDS: &str = "outbox_consume_lag_seconds";
/// Gauge: keys that wait, up to ten thousand.
pub const PARKED_KEYS: &str = "outbox_consume_parked_keys";
/// Gauge: events that wait with them, up to ten thousand.
pub const WAITING_EVENTS: &str = "outbox_consume_waiting_events";
/// Gauge: dead letters that wait for a person, up to ten thousand; told by one member of the group.
pub const OPEN_LETTERS: &str = "outbox_consume_open_dead_letters";

/// How far behind one stream is, and what waits of it.
pub(super) struct LagMeters {
    pub(super) events: Gauge,
    pub(super) seconds: Gauge,
    pub(super) parked_keys: Gauge,
    pub(super) waiting_events: Gauge,
}

impl LagMeters {
    pub(super) fn new(consumer: &str, stream: &str) -> Self {
        let labels = vec![
            Label::new("consumer", consumer.to_owned()),
            Label::new("stream", stream.to_owned()),
        ];
        Self {
            events: gauge!(LAG_EVENTS, labels.clone()),
            seconds: gauge!(LAG_SECONDS, labels.clone()),
            parked_keys: gauge!(PARKED_KEYS, labels.clone()),
            waiting_events: gauge!(WAITING_EVENTS, labels),
        }
    }

    /// Another member tells of the stream now.
    pub(super) fn let_go(&self) {
        for gauge in [
            &self.events,
            &self.seconds,
            &self.parked_keys,
            &self.waiting_events,
        ] {
            gauge.set(0.0);
        }
    }
}

/// What belongs to no stream.
pub(super) struct GroupMeters {
    pub(super) letters: Gauge,
}

impl GroupMeters {
    pub(super) fn new(consumer: &str) -> Self {
        Self {
            letters: gauge!(OPEN_LETTERS, "consumer" => consumer.to_owned()),
        }
    }
}

/// The metrics of a member as such.
pub(super) struct MemberMeters {
    pub(super) members: Gauge,
    pub(super) streams: Gauge,
    pub(super) unassigned: Gauge,
    pub(super) rebalances: Counter,
}

impl MemberMeters {
    pub(super) fn new(consumer: &str) -> Self {
        let labels = vec![Label::new("consumer", consumer.to_owned())];
        Self {
            members: gauge!(MEMBERS, labels.clone()),
            streams: gauge!(STREAMS, labels.clone()),
            unassigned: gauge!(UNASSIGNED, labels.clone()),
            rebalances: counter!(REBALANCES, labels),
        }
    }

    /// It takes part no more.
    pub(super) fn let_go(&self) {
        for gauge in [&self.members, &self.streams, &self.unassigned] {
            gauge.set(0.0);
        }
    }
}

/// The metrics of one stream, looked up once.
pub(super) struct Meters {
    labels: Vec<Label>,
    applied: Counter,
    attempts_applied: Counter,
    pub(super) duplicates: Counter,
    pub(super) superseded: Counter,
    pub(super) skipped: Counter,
    pub(super) parked: Counter,
    pub(super) drained: Counter,
    pub(super) repeated: Counter,
    pub(super) dead: Counter,
    pub(super) deleted: Counter,
    pub(super) groups_made: Counter,
    pub(super) groups_set_back: Counter,
    pub(super) held: Gauge,
    pub(super) hole: Gauge,
    pub(super) in_hand: Gauge,
    pub(super) leading: Gauge,
    pub(super) breaker: Gauge,
    pub(super) transaction_seconds: Histogram,
    pub(super) delay_seconds: Histogram,
}

impl Meters {
    pub(super) fn new(consumer: &str, stream: &str) -> Self {
        let labels = vec![
            Label::new("consumer", consumer.to_owned()),
            Label::new("stream", stream.to_owned()),
        ];
        Self {
            applied: counter!(APPLIED, labels.clone()),
            attempts_applied: counter!(ATTEMPTS, of_outcome(&labels, "applied")),
            duplicates: counter!(DUPLICATES, labels.clone()),
            superseded: counter!(SUPERSEDED, labels.clone()),
            skipped: counter!(SKIPPED, labels.clone()),
            parked: counter!(PARKED, labels.clone()),
            drained: counter!(DRAINED, labels.clone()),
            repeated: counter!(REPEATED, labels.clone()),
            dead: counter!(DEAD, labels.clone()),
            deleted: counter!(DELETED, labels.clone()),
            groups_made: counter!(GROUPS_MADE, labels.clone()),
            groups_set_back: counter!(GROUPS_SET_BACK, labels.clone()),
            held: gauge!(HELD, labels.clone()),
            hole: gauge!(HOLE, labels.clone()),
            in_hand: gauge!(IN_HAND, labels.clone()),
            leading: gauge!(LEADING, labels.clone()),
            breaker: gauge!(BREAKER, labels.clone()),
            transaction_seconds: histogram!(TRANSACTION_SECONDS, labels.clone()),
            delay_seconds: histogram!(DELAY_SECONDS, labels.clone()),
            labels,
        }
    }

    /// Nothing of the stream is in hand any more: what another member does is its own to show.
    pub(super) fn let_go(&self) {
        for gauge in [
            &self.leading,
            &self.in_hand,
            &self.held,
            &self.hole,
            &self.breaker,
        ] {
            gauge.set(0.0);
        }
    }

    /// Counts attempts that had their effect.
    pub(super) fn applied(&self, count: u64) {
        self.applied.increment(count);
        self.attempts_applied.increment(count);
    }

    /// Counts an attempt that did not.
    pub(super) fn attempted(&self, outcome: &'static str) {
        counter!(ATTEMPTS, of_outcome(&self.labels, outcome)).increment(1);
    }

    /// Counts a failed attempt.
    pub(super) fn failed(&self, class: &str) {
        let mut labels = self.labels.clone();
        labels.push(Label::new("class", class.to_owned()));
        counter!(FAILURES, labels).increment(1);
    }
}

fn of_outcome(labels: &[Label], outcome: &'static str) -> Vec<Label> {
    let mut labels = labels.to_vec();
    labels.push(Label::new("outcome", outcome));
    labels
}
