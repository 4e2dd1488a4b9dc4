//! Every state within the bounds that take seconds: the protocol holds, and without each mechanism it does not.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use protocol_model::cases::{MODELS, Size, all};
use protocol_model::explore::Finding;
use protocol_model::step::to_json;

/// States at most: more than any of these has.
const BOUND: usize = 3_000_000;

/// Explores all cases of a model. Returns what is not as it must be, and what was done.
fn explore(model: &str) -> (Vec<String>, BTreeSet<&'static str>) {
    let (mut wrong, mut seen) = (Vec::new(), BTreeSet::new());
    for case in all(Size::Small).into_iter().filter(|case| case.model == model) {
        let report = case.run(BOUND);
        let name = format!(
            "{model} {} without {:?} ({})",
            case.part, case.without, case.bounds
        );
        println!("{name}: {} states in {:?}", report.states, report.took);
        seen.extend(report.seen);
        match (report.finding, case.breaks) {
            (Finding::Holds, None) => {}
            (Finding::Broken { property, trace }, Some(expected)) if property == expected => {
                println!("    {property}: broken in {} steps", trace.len());
            }
            (Finding::Broken { property, trace }, _) => {
                wrong.push(format!("{name} breaks {property}: {}", to_json(&trace)));
            }
            (finding, expected) => wrong.push(format!("{name}: {finding:?}, and must break {expected:?}")),
        }
    }
    (wrong, seen)
}

/// The protocol holds whole; each mechanism taken away breaks what it is there for; and every step says what it stands for.
fn judge(model: &str) {
    let (wrong, seen) = explore(model);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let stands = MODELS
        .iter()
        .find(|(name, _)| *name == model)
        .map(|(_, stands)| *stands);
    let known: BTreeSet<&str> = stands.unwrap_or_default().iter().map(|(does, _)| *does).collect();
    assert_eq!(seen, known, "what is done, and what is said to stand for it");
}

#[test]
fn cutting() {
    judge("tail");
}

#[test]
fn one_stream() {
    judge("stream");
}

#[test]
fn applying() {
    judge("consume");
}

#[test]
fn parking() {
    judge("park");
}

#[test]
fn the_doorbell() {
    judge("doorbell");
}

#[test]
fn detaching_of_pieces() {
    judge("pieces");
}

#[test]
fn going_back_in_time() {
    judge("eras");
}

#[test]
fn growth() {
    judge("partitions");
}

#[test]
fn new_groups() {
    judge("groups");
}

#[test]
fn random_walks_through_larger_spaces_break_nothing() {
    let seed = std::time::UNIX_EPOCH
        .elapsed()
        .map_or(1, |since| since.as_nanos() as u64);
    println!("seed {seed}");
    for case in all(Size::Large).into_iter().filter(|case| case.breaks.is_none()) {
        let (steps, broken) = case.walk(seed, 500);
        assert!(steps > 0, "{} {} makes no step", case.model, case.part);
        assert_eq!(
            broken, None,
            "seed {seed}: {} {} within {}",
            case.model, case.part, case.bounds
        );
    }
}

#[test]
fn what_a_step_stands_for_is_there_and_in_the_document() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let document = fs::read_to_string(root.join("docs/model.md")).expect("docs/model.md");
    let mut wrong = Vec::new();
    for (model, stands) in MODELS {
        for (does, what) in stands {
            let row = format!("| {model} | {does} | {what} |");
            if !document.contains(&row) {
                wrong.push(format!("docs/model.md lacks: {row}"));
            }
            let paths = what
                .split([' ', ',', ';', ':'])
                .filter(|word| word.ends_with(".rs") || word.ends_with(".sql"));
            wrong.extend(
                paths
                    .filter(|path| !root.join(path).exists())
                    .map(|path| format!("{model}, {does}: there is no {path}")),
            );
        }
    }
    for case in all(Size::Small) {
        let shows = case.without.is_empty() || document.contains(&format!("| {} |", case.without));
        if !shows {
            wrong.push(format!(
                "docs/model.md has no row for {} without {:?}",
                case.model, case.without
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
