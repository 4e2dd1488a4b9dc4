//! Harm done to the whole: processes killed and stopped, servers crashed and full, networks cut.

mod kills;

mod drain;

mod stranger;

mod zombie;

mod redis_faults;

mod postgres_crash;

mod doorbell;

mod growing_topic;

mod huge_batch;

mod standby;

mod pooler;

mod consumers;

mod repair;
