//! What processes used, out of `/proc`: seconds of CPU and memory. Linux only.
//!
//! A process that ended is counted by the one that waited for it, so that of a server with its children nothing is lost.

use std::fs;

use system_tests::{Failure, Result};

/// Of the clock that `/proc` counts in, `USER_HZ`: 100 in a second on every Linux that this runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// Seconds of CPU that a process, its threads and the children that it waited for had so far.
pub(crate) fn cpu_seconds(process: u32) -> Result<f64> {
    let stat = Stat::of(process)?;
    Ok(stat.ticks as f64 / TICKS_PER_SECOND)
}

/// The same of a process and all of its children that live: a Postgres by its postmaster.
pub(crate) fn cpu_seconds_of_all(parent: u32) -> Result<f64> {
    let mut ticks = Stat::of(parent)?.ticks;
    for entry in fs::read_dir("/proc")? {
        let Some(process) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // It may have ended since the folder was read.
        if let Ok(stat) = Stat::of(process)
            && stat.parent == parent
        {
            ticks += stat.ticks;
        }
    }
    Ok(ticks as f64 / TICKS_PER_SECOND)
}

/// The most memory that a process had resident, in bytes.
pub(crate) fn peak_bytes(process: u32) -> Result<u64> {
    status(process, "VmHWM:").map(|kilobytes| kilobytes * 1024)
}

/// What it has resident now, in bytes.
#[cfg_attr(not(test), expect(dead_code, reason = "for measures to come"))]
pub(crate) fn resident_bytes(process: u32) -> Result<u64> {
    status(process, "VmRSS:").map(|kilobytes| kilobytes * 1024)
}

/// How often it gave up a core by itself, over its threads: each time it waited for something and was woken.
#[cfg_attr(not(test), expect(dead_code, reason = "for measures to come"))]
pub(crate) fn wake_ups(process: u32) -> Result<u64> {
    let mut sum = 0;
    for thread in fs::read_dir(format!("/proc/{process}/task"))? {
        // A thread may have ended since.
        let text = fs::read_to_string(thread?.path().join("status")).unwrap_or_default();
        sum += field(&text, "voluntary_ctxt_switches:").unwrap_or_default();
    }
    Ok(sum)
}

fn status(process: u32, name: &str) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/status"))?;
    field(&text, name).ok_or_else(|| Failure::new(format!("process {process} has no {name} in /proc")))
}

fn field(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    value.trim().trim_end_matches(" kB").parse().ok()
}

struct Stat {
    parent: u32,
    ticks: u64,
}

impl Stat {
    fn of(process: u32) -> Result<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{process}/stat"))?)
            .ok_or_else(|| Failure::new(format!("/proc/{process}/stat has another form")))
    }

    /// The name is in parentheses and may have anything in it; behind it come state, parent, …, and four times, the last two of
    /// children that were waited for.
    fn parse(text: &str) -> Option<Self> {
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let times: Option<Vec<u64>> = fields.get(11..15)?.iter().map(|time| time.parse().ok()).collect();
        Some(Self {
            parent: fields.get(1)?.parse().ok()?,
            ticks: times?.iter().sum(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Stat, cpu_seconds, cpu_seconds_of_all, peak_bytes, resident_bytes, wake_ups};
    use system_tests::Result;

    #[test]
    fn a_line_of_the_system_is_read_behind_the_name() {
        let stat = Stat::parse("12 (a) b) S 7 12 12 0 -1 4194560 1 2 3 4 10 20 30 40 20 0 1 0 5 6 7");
        assert!(stat.is_some_and(|stat| stat.parent == 7 && stat.ticks == 100));
        assert!(Stat::parse("12 (a) S 7").is_none());
    }

    #[test]
    fn this_process_is_found_with_what_it_used() -> Result {
        let me = std::process::id();
        assert!(peak_bytes(me)? >= resident_bytes(me)? / 2);
        assert!(cpu_seconds(me)? >= 0.0);
        assert!(cpu_seconds_of_all(std::os::unix::process::parent_id())? >= 0.0);
        let before = wake_ups(me)?;
        std::thread::yield_now();
        assert!(wake_ups(me)? >= before);
        Ok(())
    }
}
