//! Consuming: one effect per event, in order per key, through redelivery, takeover, failure and loss.

pub(crate) mod bench;

mod effect;

mod gate;

mod members;

mod writer;

mod spread;

mod growth;

mod pretender;

mod lock_room;

mod processes;

mod failure;

mod group;

mod hole;

mod identity;

mod seek;

mod seek_cut;

mod forget;

mod service;

mod window;

mod days;

mod run;

mod call;

mod storm;

mod tracing;

mod lag;

mod contention;

mod parallel;

mod parking;

mod pending;

mod severed;

mod slow;

mod slices;

mod sole;

mod kinds;

mod breaker;

mod batch;

mod transaction;

mod real;
