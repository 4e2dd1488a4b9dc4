//! What processes used, as the kernel counts it by thread: nanoseconds on a processor, and how often they were switched to.
//!
//! Authoritative: `/proc/PID/task/*/schedstat` and `…/status`; Linux only. A thread that ended between two looks is missing in the
//! second one, and what it used since the first with it; sessions of Postgres that ended are asked of the postmaster, in ticks.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use system_tests::{Failure, Result};

/// Ticks of a second in `/proc/PID/stat`: what Linux tells user space on every machine.
const TICKS: u64 = 100;

/// What some processes used up to one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Usage {
    /// By process and thread: nanoseconds that it ran, and switches to it.
    threads: BTreeMap<(u32, u32), (u64, u64)>,
    /// Of children that ended, in ticks.
    ended: u64,
}

impl Usage {
    /// Of one process without its children.
    ///
    /// # Errors
    /// When it is gone.
    pub(crate) fn of(process: u32) -> Result<Self> {
        let mut usage = Self::default();
        usage.take(process)?;
        Ok(usage)
    }

    /// Of a server and every process that it started.
    ///
    /// # Errors
    /// When the server is gone; a child may end at any time.
    pub(crate) fn of_family(parent: u32) -> Result<Self> {
        let mut usage = Self::of(parent)?;
        for child in children(parent)? {
            usage.take(child).ok();
        }
        let stat = fs::read_to_string(format!("/proc/{parent}/stat"))?;
        // Behind the name, which is in brackets and may have any: the state is the third field, cutime and cstime are the 16th and 17th.
        let fields = stat.rsplit_once(") ").map_or("", |(_, rest)| rest).split(' ');
        usage.ended = fields
            .skip(13)
            .take(2)
            .filter_map(|ticks| ticks.parse::<u64>().ok())
            .sum();
        Ok(usage)
    }

    fn take(&mut self, process: u32) -> Result {
        for entry in fs::read_dir(format!("/proc/{process}/task"))? {
            let folder = entry?.path();
            let name = folder.file_name().and_then(|name| name.to_str());
            let Some(thread) = name.and_then(|name| name.parse().ok()) else {
                continue;
            };
            // A thread may end while it is looked at.
            let (Ok(ran), Ok(status)) = (
                fs::read_to_string(folder.join("schedstat")),
                fs::read_to_string(folder.join("status")),
            ) else {
                continue;
            };
            let ran = ran.split(' ').next().and_then(|ran| ran.trim().parse().ok());
            self.threads
                .insert((process, thread), (ran.unwrap_or_default(), switches(&status)));
        }
        Ok(())
    }

    /// Time on a processor since an earlier look.
    pub(crate) fn ran_since(&self, before: &Self) -> Duration {
        let nanoseconds = self.sum_since(before, |(ran, _)| ran);
        let ended = self.ended.saturating_sub(before.ended);
        Duration::from_nanos(nanoseconds) + Duration::from_millis(ended * 1000 / TICKS)
    }

    /// The same in seconds.
    pub(crate) fn seconds_since(&self, before: &Self) -> f64 {
        self.ran_since(before).as_secs_f64()
    }

    /// How often it was switched to since an earlier look: each time it woke up or was interrupted.
    pub(crate) fn switches_since(&self, before: &Self) -> u64 {
        self.sum_since(before, |(_, switches)| switches)
    }

    fn sum_since(&self, before: &Self, value: impl Fn((u64, u64)) -> u64) -> u64 {
        let since = |(thread, now): (&(u32, u32), &(u64, u64))| {
            let then = before.threads.get(thread).copied().unwrap_or_default();
            value(*now).saturating_sub(value(then))
        };
        self.threads.iter().map(since).sum()
    }
}

/// The sessions of a Postgres by who is in them: the name of a login, or `its own` for what no client asked for.
///
/// # Errors
/// When the server is gone.
pub(crate) fn sessions(postmaster: u32) -> Result<BTreeMap<String, Usage>> {
    let mut sessions = BTreeMap::<String, Usage>::new();
    for child in children(postmaster)? {
        let title = fs::read_to_string(format!("/proc/{child}/cmdline")).unwrap_or_default();
        let usage = sessions.entry(whose(&title)).or_default();
        usage.take(child).ok();
    }
    Ok(sessions)
}

/// Pure. A session says in its title: `postgres: USER DATABASE HOST(PORT) STATE`.
fn whose(title: &str) -> String {
    let mut words = title.trim_start_matches("postgres: ").split(' ');
    match (words.next(), words.next(), words.next()) {
        (Some(user), Some(_), Some(host)) if host.contains('(') => user.to_owned(),
        _ => "its own".to_owned(),
    }
}

fn children(process: u32) -> Result<Vec<u32>> {
    let told = fs::read_to_string(format!("/proc/{process}/task/{process}/children"))
        .map_err(|error| Failure::new(format!("process {process} is gone: {error}")))?;
    Ok(told
        .split_whitespace()
        .filter_map(|child| child.parse().ok())
        .collect())
}

fn switches(status: &str) -> u64 {
    let of = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.trim().parse::<u64>().ok())
            .unwrap_or_default()
    };
    of("voluntary_ctxt_switches:") + of("nonvoluntary_ctxt_switches:")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Usage, switches, whose};

    #[test]
    fn a_session_is_told_by_its_title() {
        for (title, who) in [
            (
                "postgres: test_relay test_019 127.0.0.1(40112) idle",
                "test_relay",
            ),
            ("postgres: checkpointer ", "its own"),
            ("postgres: autovacuum worker test_019", "its own"),
            ("postgres: logical replication launcher ", "its own"),
            ("", "its own"),
        ] {
            assert_eq!(whose(title), who, "{title}");
        }
    }

    #[test]
    fn switches_of_both_kinds_count() {
        let status = "Name:\tx\nvoluntary_ctxt_switches:\t20\nnonvoluntary_ctxt_switches:\t3\n";
        assert_eq!(switches(status), 23);
    }

    #[test]
    fn what_a_thread_used_before_it_was_first_seen_counts_once() {
        let before = Usage {
            threads: [((1, 1), (1_000, 5))].into(),
            ended: 3,
        };
        let after = Usage {
            threads: [((1, 1), (4_000, 6)), ((1, 2), (500, 2))].into(),
            ended: 5,
        };
        assert_eq!(
            after.ran_since(&before),
            Duration::from_nanos(3_500) + Duration::from_millis(20)
        );
        assert_eq!(after.switches_since(&before), 3);
    }

    #[test]
    fn this_process_has_used_something() -> Result<(), system_tests::Failure> {
        let used = Usage::of(std::process::id())?;
        assert!(used.ran_since(&Usage::default()) > Duration::ZERO);
        Ok(())
    }
}
