//! Explores all models and prints what came out: `cargo xtask model`, or
//! `cargo run --release -p protocol-model -- [small|large] [words of a case's name]`.

use std::process::ExitCode;

use protocol_model::cases::{Case, Size, all};
use protocol_model::explore::{Finding, Report};

/// States kept in memory at most: thirty million take some 5 GB.
const BOUND: usize = 30_000_000;

/// Random walks beside each exploration of a whole protocol, where it is large.
const WALKS: usize = 20_000;

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let size = match words.next().as_deref() {
        Some("small") => Size::Small,
        _ => Size::Large,
    };
    let filter: Vec<String> = words.collect();
    let (mut wrong, mut walked) = (0, 0);
    println!("| model | taken away | bounds | states | steps | depth | seconds | came out |");
    println!("|---|---|---|---|---|---|---|---|");
    for case in all(size) {
        let name = format!("{} {} {}", case.model, case.part, case.without);
        if !filter.iter().all(|word| name.contains(word)) {
            continue;
        }
        let report = case.run(BOUND);
        wrong += usize::from(!print(&case, &report, !filter.is_empty()));
        if size == Size::Large && case.breaks.is_none() {
            let seed = std::time::UNIX_EPOCH
                .elapsed()
                .map_or(1, |since| u64::from(since.subsec_nanos()));
            let (steps, broken) = case.walk(seed, WALKS);
            walked += steps;
            if let Some((property, trace)) = broken {
                wrong += 1;
                println!("walk of seed {seed} breaks {property} in {} steps", trace.len());
            }
        }
    }
    eprintln!("{walked} steps of random walks; {wrong} not as expected");
    if wrong == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// One row. Answers whether it came out as it must.
fn print(case: &Case, report: &Report, shows_trace: bool) -> bool {
    let out = match &report.finding {
        Finding::Holds => "holds".to_owned(),
        Finding::Unfinished => "unfinished".to_owned(),
        Finding::Broken { property, trace } => format!("{property}: broken in {} steps", trace.len()),
    };
    println!(
        "| {} {} | {} | {} | {} | {} | {} | {:.2} | {out} |",
        case.model,
        case.part,
        case.without,
        case.bounds,
        report.states,
        report.steps,
        report.depth,
        report.took.as_secs_f64()
    );
    if let Finding::Broken { trace, .. } = &report.finding
        && shows_trace
    {
        for step in trace {
            println!("    {step}");
        }
    }
    match &report.finding {
        Finding::Holds => case.breaks.is_none(),
        Finding::Unfinished => false,
        Finding::Broken { property, .. } => case.breaks == Some(*property),
    }
}
