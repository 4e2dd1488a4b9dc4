//! What processes used, as the kernel counts it by thread: nanoseconds on a processor, and how often they were switched to.
//!
//! Authoritative: `/proc/PID/task/*/schedstat` and `…/status` for the threads that live, `/proc/PID/stat` for the whole process, in ticks of
//! ten milliseconds; Linux only. A thread that ended is in no task: where the whole says more than the threads do, the whole counts.
//! Sessions of Postgres that ended are asked of the postmaster.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use system_tests::{Failure, Result};

/// Ticks of a second in `/proc/PID/stat`: what Linux tells user space on every machine.
const TICKS: u64 = 100;
/// User's and system's ticks are rounded down each, at both looks.
const ROUNDED: u64 = 2;
/// Fields of `/proc/PID/stat` behind the name, from 0.
const OWN: usize = 11;
const OF_CHILDREN: usize = 13;

/// What some processes used up to one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Usage {
    /// By process and thread: nanoseconds that it ran, and switches to it.
    threads: BTreeMap<(u32, u32), (u64, u64)>,
    /// By process: ticks of all of its threads, those that ended too.
    processes: BTreeMap<u32, u64>,
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
            usage.take_if_there(child)?;
        }
        usage.ended = ticks(&stat(parent)?, OF_CHILDREN)?;
        Ok(usage)
    }

    /// One that may end at any time.
    fn take_if_there(&mut self, process: u32) -> Result {
        match self.take(process) {
            Err(why) if fs::exists(format!("/proc/{process}/stat"))? => Err(why),
            _ => Ok(()),
        }
    }

    fn take(&mut self, process: u32) -> Result {
        for entry in fs::read_dir(format!("/proc/{process}/task"))? {
            let folder = entry?.path();
            let name = folder.file_name().and_then(|name| name.to_str());
            let Some(thread) = name.and_then(|name| name.parse().ok()) else {
                continue;
            };
            // A thread may end while it is looked at.
            let read = |file: &str| fs::read_to_string(folder.join(file));
            let (ran, Ok(status)) = (read("schedstat"), read("status")) else {
                continue;
            };
            self.threads.insert(
                (process, thread),
                (nanoseconds(ran.ok().as_deref())?, switches(&status)),
            );
        }
        // Behind the threads: what one used that ended meanwhile is in it.
        self.processes.insert(process, ticks(&stat(process)?, OWN)?);
        Ok(())
    }

    /// Time on a processor since an earlier look.
    pub(crate) fn ran_since(&self, before: &Self) -> Duration {
        let of_processes = self
            .processes
            .keys()
            .map(|process| self.process_since(before, *process));
        // What a child had used by the earlier look is in the ticks of those that ended too, once it did.
        let gone = before
            .threads
            .iter()
            .filter(|((process, _), _)| !self.processes.contains_key(process));
        let gone = gone.map(|(_, (ran, _))| Duration::from_nanos(*ran)).sum();
        let ended = in_time(self.ended.saturating_sub(before.ended));
        of_processes.sum::<Duration>() + ended.saturating_sub(gone)
    }

    /// By its threads, in nanoseconds, where none of them ended; otherwise in ticks.
    fn process_since(&self, before: &Self, process: u32) -> Duration {
        let of_threads = Duration::from_nanos(self.sum_since(before, process, |(ran, _)| ran));
        let then = before.processes.get(&process).copied().unwrap_or_default();
        let now = self.processes.get(&process).copied().unwrap_or_default();
        let whole = in_time(now.saturating_sub(then));
        match whole > of_threads + in_time(ROUNDED) {
            true => whole,
            false => of_threads,
        }
    }

    /// The same in seconds.
    pub(crate) fn seconds_since(&self, before: &Self) -> f64 {
        self.ran_since(before).as_secs_f64()
    }

    /// How often it was switched to since an earlier look: each time it woke up or was interrupted.
    pub(crate) fn switches_since(&self, before: &Self) -> u64 {
        let of_process = |process: &u32| self.sum_since(before, *process, |(_, switches)| switches);
        self.processes.keys().map(of_process).sum()
    }

    fn sum_since(&self, before: &Self, process: u32, value: impl Fn((u64, u64)) -> u64) -> u64 {
        let since = |(thread, now): (&(u32, u32), &(u64, u64))| {
            let then = before.threads.get(thread).copied().unwrap_or_default();
            value(*now).saturating_sub(value(then))
        };
        let all = (process, 0)..=(process, u32::MAX);
        self.threads.range(all).map(since).sum()
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
        usage.take_if_there(child)?;
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

fn in_time(ticks: u64) -> Duration {
    Duration::from_millis(ticks * 1000 / TICKS)
}

fn stat(process: u32) -> Result<String> {
    fs::read_to_string(format!("/proc/{process}/stat"))
        .map_err(|error| Failure::new(format!("process {process} is gone: {error}")))
}

/// Pure. User's and system's ticks together, from this field on. The name is in brackets and may have any letters.
fn ticks(stat: &str, field: usize) -> Result<u64> {
    let fields = stat.rsplit_once(") ").map_or("", |(_, rest)| rest).split(' ');
    let two: Vec<u64> = fields
        .skip(field)
        .take(2)
        .filter_map(|ticks| ticks.parse().ok())
        .collect();
    match two[..] {
        [user, system] => Ok(user + system),
        _ => Err(Failure::new("/proc/PID/stat has no times")),
    }
}

/// Pure. Nothing would be told as no use at all.
fn nanoseconds(schedstat: Option<&str>) -> Result<u64> {
    let ran = schedstat.and_then(|text| text.split(' ').next()?.trim().parse().ok());
    ran.ok_or_else(|| {
        Failure::new("there is no /proc/PID/task/TID/schedstat: this kernel was built without CONFIG_SCHED_INFO, and what threads used is not known")
    })
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

    use super::{OF_CHILDREN, OWN, Usage, nanoseconds, switches, ticks, whose};

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

    /// Threads with nanoseconds and switches, ticks of their processes, ticks of children that ended.
    fn usage(threads: &[(u32, u32, u64, u64)], processes: &[(u32, u64)], ended: u64) -> Usage {
        let threads = threads.iter();
        Usage {
            threads: threads
                .map(|(process, thread, ran, switches)| ((*process, *thread), (*ran, *switches)))
                .collect(),
            processes: processes.iter().copied().collect(),
            ended,
        }
    }

    #[test]
    fn what_a_thread_used_before_it_was_first_seen_counts_once() {
        let before = usage(&[(1, 1, 1_000, 5)], &[(1, 7)], 3);
        let after = usage(&[(1, 1, 4_000, 6), (1, 2, 500, 2)], &[(1, 8)], 5);
        assert_eq!(
            after.ran_since(&before),
            Duration::from_nanos(3_500) + Duration::from_millis(20)
        );
        assert_eq!(after.switches_since(&before), 3);
    }

    #[test]
    fn what_a_thread_used_that_ended_is_in_the_whole() {
        let before = usage(&[(1, 1, 0, 0), (1, 2, 90_000_000, 1)], &[(1, 9)], 0);
        let after = usage(&[(1, 1, 10_000_000, 1)], &[(1, 60)], 0);
        assert_eq!(after.ran_since(&before), Duration::from_millis(510));
    }

    #[test]
    fn a_child_that_ended_counts_from_the_earlier_look_on() {
        let before = usage(&[(1, 1, 0, 0), (2, 2, 400_000_000, 1)], &[(1, 0), (2, 40)], 0);
        let after = usage(&[(1, 1, 0, 0)], &[(1, 0)], 50);
        assert_eq!(after.ran_since(&before), Duration::from_millis(100));
    }

    #[test]
    fn times_are_told_apart_by_their_fields_and_what_is_missing_is_an_error()
    -> Result<(), system_tests::Failure> {
        let stat = "7 (a b) c) S 1 7 7 0 -1 4194304 100 0 0 0 11 22 33 44 20 0 5 0";
        assert_eq!((ticks(stat, OWN)?, ticks(stat, OF_CHILDREN)?), (33, 77));
        assert!(ticks("7 (a) S 1", OWN).is_err());
        assert_eq!(nanoseconds(Some("123 4 5\n"))?, 123);
        assert!(nanoseconds(None).is_err() && nanoseconds(Some("")).is_err());
        Ok(())
    }

    #[test]
    fn this_process_has_used_something() -> Result<(), system_tests::Failure> {
        let used = Usage::of(std::process::id())?;
        assert!(used.ran_since(&Usage::default()) > Duration::ZERO);
        Ok(())
    }
}
