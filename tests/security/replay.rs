//! The corpus of the fuzzer, and what it once found, through the same functions: without the fuzzer and without nightly.

use std::path::Path;

use system_tests::Result;

use crate::targets;

/// What the fuzzer calls.
type Target = fn(&[u8]);

#[test]
fn everything_in_the_corpus_is_taken_as_it_should_be() -> Result {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    let all: [(&str, Target); 4] = [
        ("envelope", targets::envelope),
        ("entry", targets::entry),
        ("config", targets::config),
        ("filter", targets::filter),
    ];
    for (name, target) in all {
        let mut taken = 0;
        for input in std::fs::read_dir(corpus.join(name))? {
            let path = input?.path();
            eprintln!("{}", path.display());
            target(&std::fs::read(&path)?);
            taken += 1;
        }
        assert!(taken >= 3, "{name}: only {taken} inputs");
    }
    Ok(())
}
