//! Subscriptions on a real server.

mod crowd;

mod differences;

mod failing;

mod hindered;

mod leases;

pub(crate) mod scene;

mod waiting;
