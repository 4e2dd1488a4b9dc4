//! `cargo xtask bench NAME`: how near the path is to what Postgres and Redis can do, what stays flat, and how fast the event store is.
//!
//! Not part of what a change must pass: how fast a machine is decides nothing.

use crate::example::{become_release, become_tested};
use crate::servers::{Error, Kind, Permission, Result, ensure};

/// What `all` runs, in this order. A name is here once it is a measure of the program.
pub const ALL: &[&str] = &[
    "drain", "commit", "latency", "pinned", "consume", "backlog", "through", "idle", "takeover", "store",
    "limits",
];

/// What only runs when it is named: it takes long, or needs more than the two servers.
const ALONE: &[&str] = &["matrix", "bounded", "peers"];

/// What is measured as a whole, so that words that choose cases mean nothing.
const WHOLE: &[&str] = &["all", "backlog", "idle", "limits", "bounded"];

/// Builds for speed and becomes the benchmark. A quick run says nothing about speed, so it may be of what the tests build.
///
/// # Errors
/// On other arguments, when a server is missing and may not be installed, and when the program cannot be built.
pub fn run(arguments: &[String]) -> Result<()> {
    if let Err(why) = check(arguments) {
        let names = [ALL, ALONE].concat().join(", ");
        return Err(Error::new(format!(
            "bench: {why}. It takes one of all, {names}; then --quick, --runs N, --folder DIR; drain, pinned, store and peers also --events N; those with cases --only WORDS; \
             --quick also --unoptimised; bounded only --rows N and --folder DIR. What is smaller than the whole writes a page only where --folder says"
        )));
    }
    ensure(&[Kind::Postgres, Kind::Redis], Permission::Install)?;
    let (unoptimised, arguments): (Vec<String>, Vec<String>) = arguments
        .iter()
        .cloned()
        .partition(|word| word == "--unoptimised");
    match unoptimised.is_empty() {
        true => become_release("bench", &arguments),
        false => become_tested("bench", &arguments),
    }
}

fn check(arguments: &[String]) -> std::result::Result<(), String> {
    let mut words = arguments.iter().map(String::as_str);
    let name = words.next().unwrap_or_default();
    if name != "all" && !ALL.contains(&name) && !ALONE.contains(&name) {
        return Err(format!("there is no measure {name:?}"));
    }
    let is_quick = arguments.iter().any(|word| word == "--quick");
    while let Some(word) = words.next() {
        let fits = match word {
            "--folder" => true,
            "--quick" | "--runs" => name != "bounded",
            "--unoptimised" => is_quick,
            "--events" => matches!(name, "store" | "drain" | "pinned" | "peers"),
            "--only" => !WHOLE.contains(&name),
            "--rows" => name == "bounded",
            _ => false,
        };
        if !fits {
            return Err(format!("{name} does not take {word}"));
        }
        if matches!(word, "--quick" | "--unoptimised") {
            continue;
        }
        let value = words.next().ok_or_else(|| format!("{word} has no value"))?;
        let is_count = value.parse::<u32>().is_ok_and(|count| count > 0);
        if matches!(word, "--runs" | "--events" | "--rows") && !is_count {
            return Err(format!("{word} takes a number above 0"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn arguments_are_refused_before_the_build() {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        for bad in [
            "",
            "publish",
            "consume --runs",
            "consume --runs 0",
            "consume --fast",
            "bounded --runs 3",
            "bounded --rows 0",
            "store --events x",
            "store --only",
            "all --only load",
            "idle --only relay",
            "drain --unoptimised",
        ] {
            assert!(check(&words(bad)).is_err(), "{bad}");
        }
        for good in [
            "all",
            "all --quick",
            "all --quick --unoptimised",
            "commit --only NOTIFY",
            "limits --quick",
            "store --events 5 --only load",
            "bounded --rows 3 --folder f",
            "consume --quick --runs 2",
            "peers --quick --events 50000 --only poller",
        ] {
            assert!(check(&words(good)).is_ok(), "{good}");
        }
    }
}
