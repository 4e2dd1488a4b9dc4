//! `cargo xtask <task>`: what a person needs to try the project and to prove it.

use std::process::ExitCode;

use xtask::{ablate, bench, chaos, demo, flame, import_check, model, orders, test, upgrade};

const USAGE: &str = "\
cargo xtask test [--quick] [--install-deny] [arguments of cargo nextest run …]
    Everything a change must pass, on private servers: formatting, clippy, cargo-deny, doctests, all tests.
    --quick         only the tests, without those that do harm for minutes
    --install-deny  installs cargo-deny if it is missing, instead of skipping it

cargo xtask demo [--seconds N] [--keep]
    A shop on real servers while the leading relay is killed twice and Redis once, with an audit at the end.
    Private servers, or those of DATABASE_URL and REDIS_URL if they are set.
    --seconds N     how long it takes, at least 20; default 60
    --keep          leaves it running afterwards, until Ctrl-C, and prints commands to try

cargo xtask import-check --data FOLDER
    Imports real files (olist-orders.csv, github-webhooks.ndjson.gz) and compares the streams with them.

cargo xtask orders [--data FOLDER]
    Orders in the event store: imported as streams, projected, built anew, put out again; compared with what SQL counts in the file.
    --data FOLDER   with olist-orders.csv; without it, a small file that is made up

cargo xtask bench NAME [--quick] [--runs N] [--folder DIR]
    How near the path is to what Postgres and Redis do alone, from release builds: a table, and docs/benchmarks/NAME with page, picture, JSON.
    NAME            drain, commit, latency, pinned, consume, backlog, through, idle, takeover, store; limits: where it ends, computed from
                    what these wrote; all: one after the other, and what failed at the end; matrix: a consumer in other settings;
                    bounded and peers, see below
    --quick         small, to see that it works: prints, writes nothing and judges nothing
    --unoptimised   of --quick: from the build of the tests, as CI runs it
    --runs N        how many rounds count
    --folder DIR    for page, picture and JSON; without it nothing is written of --events, --only and fewer runs than it has by itself
    --events N      of drain, pinned and store: how many there are
    --only WORDS    only cases with these words in their names

cargo xtask chaos [--seed N] [--minutes M | --seconds S | --faults N | --replay FILE | --crash-points | --list]
    Faults drawn from one number, on servers of its own: relays, members, producers, a standby, a replica; then a verdict.
    --faults N      runs until N faults were done, those on file included, and writes docs/chaos-report.md
    --replay FILE   the faults of a file, as a run that failed left it
    --minimise N    leaves faults out while it still fails, within N runs
    --losses        also faults by which Redis loses data
    --crash-points  instead: every crash point with every action
    --folder DIR    for histories and results; default target/chaos

cargo xtask model [WORD …]
    Explores the models of the protocol within large bounds, for some minutes and in some gigabytes (docs/model.md).
    WORD            only those in whose names all of these are, with their shortest traces

cargo xtask bench bounded [--rows N] [--folder DIR]
    A relay very far behind, with everything in its way: whether memory, connections and pages read stay flat. Writes
    docs/benchmarks/bounded.md with its pictures.
    --rows N        how far behind; default 10,000,000, for which Postgres and Redis need some 12 GB together. With N nothing is written but to DIR

cargo xtask bench peers [--quick] [--runs N] [--events N] [--only WORDS]
    Ours beside what else publishes from Postgres to Redis, each got from its registry and set up as it says itself (bench/peers).
    Needs cargo, go, mvn and python3 for those that are run. An hour or so; writes docs/benchmarks/peers.
    --only WORDS    only peers with these words in their names, and ours

cargo xtask flame FILE PICTURE TITLE
    The samples of a process that `perf record` left in FILE, as a picture of who called whom (docs/benchmarks/flames.md).

cargo xtask upgrade [COMMIT]
    A relay of an older version beside one of this version, under load, and back.
    COMMIT          of the older version; default: the version before this one

cargo xtask ablate [--fire [--seed N] | --tests FILTERSET] [NAME …]
    Takes mechanisms out of a copy of the sources, one at a time, and runs the tests that must fail then (tests/ablations).
    NAME            only these; `nothing` takes nothing out. Default: all, and nothing first
    --fire          the minute of kills instead, and what its witness counts
    --seed N        of the fire; default 1
    --tests …       these tests instead, to see what else fails";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let outcome = match arguments.next().as_deref() {
        Some("test") => test::run(arguments.collect()),
        Some("demo") => demo::run(&arguments.collect::<Vec<_>>()),
        Some("import-check") => import_check::run(&arguments.collect::<Vec<_>>()),
        Some("orders") => orders::run(&arguments.collect::<Vec<_>>()),
        Some("ablate") => ablate::run(&arguments.collect::<Vec<_>>()),
        Some("model") => model::run(&arguments.collect::<Vec<_>>()),
        Some("chaos") => chaos::run(&arguments.collect::<Vec<_>>()),
        Some("upgrade") => upgrade::run(&arguments.collect::<Vec<_>>()),
        Some("bench") => bench::run(&arguments.collect::<Vec<_>>()),
        Some("flame") => flame::run(&arguments.collect::<Vec<_>>()),
        Some("help" | "--help" | "-h") => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        other => {
            eprintln!(
                "{}\n{USAGE}",
                other.map_or("no task given".to_owned(), |task| format!("no task {task:?}"))
            );
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
