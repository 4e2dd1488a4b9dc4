//! The names of this stage's metrics. Label: `subscription`; of failures also `class`.

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

/// Counter: events whose effect was committed.
pub const APPLIED: &str = "outbox_subscription_applied_total";
/// Counter: failed attempts, by class: handler, panic, timeout or an SQLSTATE.
pub const FAILURES: &str = "outbox_subscription_failures_total";
/// Counter: attempts that something was in the way of which may pass by itself, by class: an SQLSTATE of 40 or 53.
pub const HINDERED: &str = "outbox_subscription_hindered_total";
/// Counter: streams that wait for a person because an event failed for good.
pub const PARKED: &str = "outbox_subscription_parked_streams_total";
/// Gauge: partitions that this process applies.
pub const PARTITIONS: &str = "outbox_subscription_partitions";
/// Histogram, seconds: from an event's record in the log to the commit of its effect.
pub const DELAY_SECONDS: &str = "outbox_subscription_delay_seconds";

pub(super) fn applied(subscription: &str) -> Counter {
    counter!(APPLIED, "subscription" => subscription.to_owned())
}

pub(super) fn failures(subscription: &str, class: &str) -> Counter {
    counter!(FAILURES, "subscription" => subscription.to_owned(), "class" => class.to_owned())
}

pub(super) fn hindered(subscription: &str, class: &str) -> Counter {
    counter!(HINDERED, "subscription" => subscription.to_owned(), "class" => class.to_owned())
}

pub(super) fn parked(subscription: &str) -> Counter {
    counter!(PARKED, "subscription" => subscription.to_owned())
}

pub(super) fn partitions(subscription: &str) -> Gauge {
    gauge!(PARTITIONS, "subscription" => subscription.to_owned())
}

pub(super) fn delay(subscription: &str) -> Histogram {
    histogram!(DELAY_SECONDS, "subscription" => subscription.to_owned())
}
