//! The rows of docs/faults.md that need servers of their own to be shown: sessions ended, disks full, clocks set, networks cut.

mod scene;

mod lease_killed;

mod connections;

mod disk_full;

mod failover;

mod read_only;

mod replicas;

mod notification_queue;

mod clock;

mod network;

mod role_settings;

mod prepared;

mod handover;

mod eviction;

mod pinned_snapshot;

mod plans;

mod memory;

mod storm;

mod migration_cut;

mod bounded;

mod large_entries;
