//! Which facts lead to which findings.

use super::*;
use crate::publish::{Mark, Marked};

fn server_facts() -> ServerFacts {
    ServerFacts {
        version_number: 150_018,
        version: "15.18".to_owned(),
        in_recovery: false,
        system_identifier: 7,
        fsync: true,
        full_page_writes: true,
        max_prepared_transactions: 0,
        notification_queue_usage: 0.0,
        clock: 0.0,
        user_name: "relay".to_owned(),
    }
}

fn log_facts() -> LogFacts {
    LogFacts {
        sequence_cache: Some(1),
        era_system_identifier: Some(7),
        snapshot_is_older: false,
        may_relay: true,
        may_maintain: true,
        may_see_sessions: true,
        doorbell: true,
        forgers: Vec::new(),
        pieces_half_detached: 0,
        pieces_ahead: Some(4),
        database_id: "ours".to_owned(),
        writer: None,
        last_batch_id: 1000,
    }
}

const INFO: &str = "# Server\r\nredis_version:7.0.15\r\nrole:master\r\nused_memory:1048576\r\nmaxmemory:0\r\n\
    maxmemory_policy:noeviction\r\naof_enabled:1\r\naof_last_write_status:ok\r\nrdb_last_bgsave_status:ok\r\ncluster_enabled:0\r\n";

fn findings(checks: &[Check]) -> Vec<(&'static str, Severity)> {
    checks
        .iter()
        .filter_map(|check| Some((check.name, check.finding.as_ref()?.severity)))
        .collect()
}

#[test]
fn a_healthy_pair_of_servers_has_no_finding() {
    let facts = server_facts();
    assert_eq!(findings(&server(&facts)), []);
    assert_eq!(findings(&log(&facts, &log_facts())), []);
    assert_eq!(findings(&redis(&RedisFacts::from_info(INFO))), []);
    assert_eq!(clocks(Some(0.1), Some(-0.2)).finding, None);
}

#[test]
fn what_would_lose_or_reorder_events_is_refused() {
    use Severity::Refusal;
    let standby = ServerFacts {
        in_recovery: true,
        ..server_facts()
    };
    assert_eq!(findings(&server(&standby)), [("postgres.primary", Refusal)]);
    let careless = ServerFacts {
        fsync: false,
        ..server_facts()
    };
    assert_eq!(findings(&server(&careless)), [("postgres.durability", Refusal)]);
    let facts = server_facts();
    let copied = LogFacts {
        era_system_identifier: Some(8),
        ..log_facts()
    };
    assert_eq!(findings(&log(&facts, &copied)), [("log.identity", Refusal)]);
    let restored = LogFacts {
        snapshot_is_older: true,
        ..log_facts()
    };
    assert_eq!(findings(&log(&facts, &restored)), [("log.history", Refusal)]);
    for sequence_cache in [Some(32), None] {
        let cached = LogFacts {
            sequence_cache,
            ..log_facts()
        };
        assert_eq!(findings(&log(&facts, &cached)), [("log.sequence", Refusal)]);
    }
    assert_eq!(worst(&server(&standby)), Some(Refusal));
}

#[test]
fn a_mark_that_the_ledger_does_not_know_is_refused_and_a_strangers_is_found() {
    let of = |batch_id, database_id: &str| {
        Marked::By(Mark {
            retention: 0,
            batch_id,
            database_id: database_id.to_owned(),
            epoch: 1,
        })
    };
    let stream = |mark| [("outbox:@mark:t".to_owned(), mark)];
    for mark in [Marked::Never, of(999, "ours"), of(1000, "ours")] {
        assert_eq!(marks(&log_facts(), &stream(mark), &[]).finding, None);
    }
    let ahead = marks(&log_facts(), &stream(of(1001, "ours")), &[]);
    assert_eq!(findings(&[ahead]), [("log.marks", Severity::Refusal)]);
    let forgotten = marks(&log_facts(), &stream(of(900, "ours")), &[900]);
    assert_eq!(findings(&[forgotten]), [("log.marks", Severity::Refusal)]);
    let strange = marks(&log_facts(), &stream(of(5, "theirs")), &[5]);
    assert_eq!(findings(&[strange]), [("log.marks", Severity::Finding)]);
    let unreadable = marks(
        &log_facts(),
        &stream(Marked::Unreadable("no permission".to_owned())),
        &[],
    );
    assert_eq!(findings(&[unreadable]), [("log.marks", Severity::Finding)]);
}

#[test]
fn what_is_weaker_than_it_should_be_is_found() {
    use Severity::Finding;
    let server_checks = [
        (
            ServerFacts {
                version_number: 140_009,
                ..server_facts()
            },
            "postgres.version",
        ),
        (
            ServerFacts {
                full_page_writes: false,
                ..server_facts()
            },
            "postgres.durability",
        ),
        (
            ServerFacts {
                notification_queue_usage: 0.5,
                ..server_facts()
            },
            "postgres.notification_queue",
        ),
    ];
    for (facts, name) in server_checks {
        assert_eq!(findings(&server(&facts)), [(name, Finding)]);
    }
    let log_checks = [
        (
            LogFacts {
                may_relay: false,
                ..log_facts()
            },
            "log.role",
        ),
        (
            LogFacts {
                may_maintain: false,
                ..log_facts()
            },
            "log.role",
        ),
        (
            LogFacts {
                doorbell: false,
                ..log_facts()
            },
            "log.doorbell",
        ),
        (
            LogFacts {
                forgers: vec!["shop".to_owned()],
                ..log_facts()
            },
            "log.producers",
        ),
        (
            LogFacts {
                pieces_ahead: Some(0),
                ..log_facts()
            },
            "log.pieces",
        ),
        (
            LogFacts {
                pieces_half_detached: 1,
                ..log_facts()
            },
            "log.pieces",
        ),
    ];
    for (facts, name) in log_checks {
        assert_eq!(findings(&log(&server_facts(), &facts)), [(name, Finding)]);
    }
    let redis_checks = [
        ("redis_version:7.0.15", "redis_version:6.0.16", "redis.version"),
        ("role:master", "role:slave", "redis.primary"),
        ("cluster_enabled:0", "cluster_enabled:1", "redis.primary"),
        (
            "maxmemory_policy:noeviction",
            "maxmemory_policy:allkeys-lru",
            "redis.eviction",
        ),
        ("maxmemory:0", "maxmemory:1100000", "redis.memory"),
        ("aof_enabled:1", "aof_enabled:0", "redis.persistence"),
        (
            "aof_last_write_status:ok",
            "aof_last_write_status:err",
            "redis.persistence",
        ),
    ];
    for (seen, changed, name) in redis_checks {
        let info = INFO.replace(seen, changed);
        assert_ne!(info, INFO);
        assert_eq!(findings(&redis(&RedisFacts::from_info(&info))), [(name, Finding)]);
    }
    let refused = RedisFacts {
        refusals: vec!["XADD: NOPERM".to_owned()],
        ..RedisFacts::from_info(INFO)
    };
    assert_eq!(findings(&redis(&refused)), [("redis.permission", Finding)]);
    assert_eq!(findings(&[clocks(Some(-2.5), None)]), [("clocks", Finding)]);
}

#[test]
fn dead_letters_wait_for_a_person() {
    assert_eq!(dead_letters(&[]).finding, None);
    let group = |events: i64, waiting: i64| {
        let row = serde_json::json!({ "events": events, "waiting_events": waiting });
        row.as_object().cloned().unwrap_or_default()
    };
    let check = dead_letters(&[group(3, 5), group(1, 0)]);
    assert_eq!(check.seen, "4 in 2 groups, 5 later events wait behind them");
    assert_eq!(worst(&[check]), Some(Severity::Finding));
}
