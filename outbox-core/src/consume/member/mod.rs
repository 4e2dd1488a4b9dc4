//! A member of a group: that it is there, what it applies, and what it gives to others.
//!
//! Authoritative are two tables of the handlers' database: `outbox.consumer_member` says who is there, by when each was seen,
//! `outbox.consumer_lease` who applies what. Every member looks at them about once a second, every two while it is alone and
//! nothing waits, in one statement, which also renews its leases and says that it lives. What follows from a look is decided in `balance`.
//!
//! Invariants:
//! * A lane works only while its lease is held; a lease that was lost stops that lane and no other.
//! * A stream is given back after what is in hand of it was finished. Nothing else of the member pauses for that.
//! * The look has a connection of its own, so that handlers which take all others do not cost the leases.
//!
//! Failure: while the database does not answer, the lanes find that out by themselves. Who cannot renew is replaced when the
//! lease runs out; what it still tries to commit is refused.
//!
//! Deliberately absent: a leader, and any talk between members.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::balance;
use super::signals::Paused;

mod pg;

mod run;

mod tenures;

mod vacancies;

pub(super) use run::run;

/// What a member says of itself.
#[derive(Clone, Debug)]
struct Card {
    name: String,
    host: String,
    process_id: i32,
    topics: Vec<String>,
    partitions: Option<Vec<u32>>,
}

/// What one look shows.
#[derive(Debug, Deserialize)]
struct Look {
    /// Seconds since the transaction of the look began: none, on a connection that is its own.
    transaction_age: f64,
    leases: Vec<LeaseRow>,
    members: Vec<MemberRow>,
    paused: Option<Paused>,
    /// Whether a key of a stream of ours waits for its time.
    waits: bool,
    /// Streams of ours with parked keys that are due.
    due: Vec<String>,
    /// Redrives under way, by the numbers of their operations.
    redrives: Vec<i64>,
}

#[derive(Debug, Deserialize)]
struct LeaseRow {
    stream: String,
    epoch: i64,
    holder: Option<String>,
    is_held: bool,
}

#[derive(Debug, Deserialize)]
struct MemberRow {
    name: String,
    topics: Vec<String>,
    partitions: Option<Vec<u32>>,
}

impl Look {
    /// How many streams each member holds.
    fn loads(&self) -> BTreeMap<String, usize> {
        let mut loads = BTreeMap::new();
        let held = self.leases.iter().filter(|lease| lease.is_held);
        for holder in held.filter_map(|lease| lease.holder.clone()) {
            *loads.entry(holder).or_default() += 1;
        }
        loads
    }

    /// Whether this member is alone, and nothing is on its way: nobody else has a stream, no key waits for its next attempt, no redrive
    /// is under way, and it is not paused.
    fn is_quiet(&self, me: &Card) -> bool {
        let is_anothers = |lease: &LeaseRow| lease.is_held && lease.holder.as_ref() != Some(&me.name);
        self.live(me).len() == 1
            && !self.leases.iter().any(is_anothers)
            && !self.waits
            && self.redrives.is_empty()
            && self.paused.is_none()
    }

    /// The members seen lately. This one is among them, also at its first look, which does not show it yet.
    fn live(&self, me: &Card) -> Vec<balance::Member> {
        let others = self.members.iter().filter(|member| member.name != me.name);
        let mut members: Vec<balance::Member> = others
            .map(|member| balance::Member {
                name: member.name.clone(),
                topics: member.topics.clone(),
                partitions: member.partitions.clone(),
            })
            .collect();
        members.push(balance::Member {
            name: me.name.clone(),
            topics: me.topics.clone(),
            partitions: me.partitions.clone(),
        });
        members
    }
}

impl Card {
    fn of(settings: &super::settings::Settings, topics: Vec<&str>) -> Self {
        Self {
            name: settings.member.clone(),
            host: host(),
            process_id: i32::try_from(std::process::id()).unwrap_or(i32::MAX),
            topics: topics.into_iter().map(str::to_owned).collect(),
            partitions: settings.partitions.clone(),
        }
    }
}

/// The name of this machine, for people.
fn host() -> String {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let variable = || {
        std::env::var("HOSTNAME")
            .or_else(|_| std::env::var("COMPUTERNAME"))
            .ok()
    };
    let host = kernel.or_else(variable).unwrap_or_default();
    match host.trim() {
        "" => "unknown".to_owned(),
        host => host.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(change: impl FnOnce(&mut serde_json::Value)) -> Look {
        let mut said = serde_json::json!({
            "transaction_age": 0.0,
            "leases": [
                { "stream": "t:0", "epoch": 3, "holder": "me", "is_held": true },
                { "stream": "t", "epoch": 1, "holder": "gone", "is_held": false },
            ],
            "members": [{ "name": "me", "topics": ["t"], "partitions": null }],
            "paused": null,
            "waits": false,
            "due": [],
            "redrives": [],
        });
        change(&mut said);
        serde_json::from_value(said).expect("a look")
    }

    #[test]
    fn a_member_is_quiet_only_alone_and_with_nothing_on_its_way() {
        let me = Card {
            name: "me".to_owned(),
            host: String::new(),
            process_id: 1,
            topics: vec!["t".to_owned()],
            partitions: None,
        };
        assert!(look(|_| ()).is_quiet(&me));
        let other = serde_json::json!({ "name": "other", "topics": ["t"], "partitions": null });
        for (what, value) in [
            ("members", serde_json::json!([other])),
            ("waits", serde_json::json!(true)),
            ("redrives", serde_json::json!([7])),
            (
                "paused",
                serde_json::json!({ "since": "now", "by": "me", "reason": "" }),
            ),
            (
                "leases",
                serde_json::json!([{ "stream": "t:1", "epoch": 1, "holder": "other", "is_held": true }]),
            ),
        ] {
            assert!(!look(|said| said[what] = value).is_quiet(&me), "{what}");
        }
    }
}
