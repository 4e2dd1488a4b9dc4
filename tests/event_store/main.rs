//! The event store on a real server: appended, read, published.

mod across;

mod append;

mod boundary;

mod buried;

mod carried;

mod cli;

mod cli_archive;

mod cli_projections;

mod crowd;

mod cut_short;

mod deciders;

mod forgetting;

mod keeping;

mod points;

mod orders_example;

mod projections;

mod published;

mod refused;

mod removed;

mod seen;

mod single;

mod snapshots;

mod sql;

mod subscriptions;

mod waited;

mod withheld;

mod witness;
