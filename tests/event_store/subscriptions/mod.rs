//! Subscriptions on a real server.

mod crowd;

mod differences;

mod failing;

mod leases;

mod scene;

mod waiting;
