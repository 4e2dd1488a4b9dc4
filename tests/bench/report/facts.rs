//! What a number depends on besides the code: the machine, the versions, the settings that matter. No names of hosts, no paths.

use std::process::Command;

use time::OffsetDateTime;

/// Names and values, in the order of the page.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts(Vec<(String, String)>);

impl Facts {
    /// What can be said without a server. The load is that of the moment: take it before the measure begins.
    pub(crate) fn of_machine() -> Self {
        let read = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
        let after_colon = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name));
            let value = line.and_then(|line| line.split_once(':'));
            value.map_or_else(|| "not known".to_owned(), |(_, value)| value.trim().to_owned())
        };
        let memory = after_colon(&read("/proc/meminfo"), "MemTotal");
        let memory = memory
            .trim_end_matches(" kB")
            .parse::<u64>()
            .map_or(memory.clone(), |kb| {
                format!("{:.1} GiB", kb as f64 / 1024.0 / 1024.0)
            });
        let changed = !said("git", &["status", "--porcelain", "--untracked-files=no"]).is_empty();
        let commit = said("git", &["rev-parse", "--short=12", "HEAD"]);
        let cores = cores();
        let load: Vec<String> = read("/proc/loadavg")
            .split(' ')
            .take(1)
            .map(str::to_owned)
            .collect();
        let mut facts = Self::default();
        facts.add("date", OffsetDateTime::now_utc().date());
        facts.add(
            "commit",
            if changed {
                format!("{commit}, with changes")
            } else {
                commit
            },
        );
        facts.add(
            "cores",
            format!("{cores}, {}", after_colon(&read("/proc/cpuinfo"), "model name")),
        );
        facts.add("memory", memory);
        facts.add("load before it began (one minute)", load.join(""));
        // Without the name of its build, which tells nobody anything.
        let kernel = said("uname", &["-sr"]);
        facts.add("kernel", kernel.split('-').next().unwrap_or_default());
        facts.add("rustc", said("rustc", &["--version"]));
        facts.add(
            "build",
            if cfg!(debug_assertions) {
                "unoptimised"
            } else {
                "release"
            },
        );
        facts
    }

    pub(crate) fn add(&mut self, what: &str, value: impl ToString) {
        self.0.push((what.to_owned(), value.to_string()));
    }

    pub(crate) fn add_if_any(&mut self, what: &str, value: Option<String>) {
        if let Some(value) = value {
            self.add(what, value);
        }
    }

    pub(crate) fn rows(&self) -> &[(String, String)] {
        &self.0
    }
}

/// Of this machine, for who may use it.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(0, usize::from)
}

/// What a program says, or that it is not known.
fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.ok().filter(|output| output.status.success()).map_or_else(
        || "not known".to_owned(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}
