//! Pure: stacks that were sampled, added up by who called whom.

use std::collections::BTreeMap;

/// A function, under those that called it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Frame {
    /// Samples in it and in what it called.
    pub(super) samples: u64,
    pub(super) called: BTreeMap<String, Frame>,
}

/// What runs tasks and threads, and says nothing about the work.
const MACHINERY: [&str; 13] = [
    "tokio::runtime::",
    "std::sys::",
    "<std::sys::",
    "core::ops::function::",
    "core::ops::drop::",
    "<core::pin::Pin<P> as core::future",
    "<alloc::boxed::Box",
    "std::panic",
    "std::rt::",
    "clone3",
    "start_thread",
    "_start",
    "__libc_start",
];

/// Adds up what `perf script -F comm,ip,sym` told: a line per sample, then one per frame, the innermost first.
pub(super) fn of(told: &str) -> Frame {
    let mut root = Frame::default();
    for sample in told.split("\n\n") {
        let frames: Vec<&str> = sample.lines().skip(1).filter_map(name).collect();
        if frames.is_empty() {
            continue;
        }
        root.samples += 1;
        let mut at = &mut root;
        let mut last = "";
        for frame in frames.into_iter().rev().filter(|frame| !is_machinery(frame)) {
            if frame == last {
                continue;
            }
            last = frame;
            at = at.called.entry(frame.to_owned()).or_default();
            at.samples += 1;
        }
    }
    root
}

/// The function of a line with an address before it.
fn name(line: &str) -> Option<&str> {
    let (_, name) = line.trim().split_once(' ')?;
    Some(name.trim())
}

fn is_machinery(frame: &str) -> bool {
    frame == "[unknown]" || frame == "main" || MACHINERY.iter().any(|start| frame.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stacks_are_added_up_from_the_outermost_without_what_runs_them() {
        let told = "relay \n\t  1 malloc\n\t  2 read\n\t  3 tokio::runtime::task::poll\n\t  4 start_thread\n\n\
                    relay \n\t  5 read\n\t  3 tokio::runtime::task::poll\n\nrelay \n\t  6 write\n\t ffff [unknown]\n\n";
        let root = of(told);
        assert_eq!(root.samples, 3);
        let names: Vec<(&str, u64)> = root
            .called
            .iter()
            .map(|(name, frame)| (name.as_str(), frame.samples))
            .collect();
        assert_eq!(names, [("read", 2), ("write", 1)]);
        assert_eq!(root.called["read"].called["malloc"].samples, 1);
    }
}
