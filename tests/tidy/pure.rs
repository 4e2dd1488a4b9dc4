//! What calls itself pure has no clock, no chance, no log, no waiting.

use std::io;

use crate::sources::below;

const IMPURE: [&str; 7] = [
    "async ",
    ".await",
    "Instant::now",
    "SystemTime::now",
    "now_utc()",
    "tracing::",
    "rand::",
];

#[test]
fn a_file_that_says_pure_is_pure() -> io::Result<()> {
    let mut looked_at = 0;
    let mut wrong = Vec::new();
    for source in below("outbox-core/src", &[".rs"])?
        .iter()
        .filter(|source| source.text.starts_with("//! Pure"))
    {
        looked_at += 1;
        for (number, line) in source.code() {
            if let Some(word) = IMPURE.iter().find(|word| line.contains(**word)) {
                wrong.push(format!("{}:{number} has `{word}`: {}", source.path, line.trim()));
            }
        }
    }
    assert!(looked_at >= 5, "only {looked_at} files say that they are pure");
    assert!(
        wrong.is_empty(),
        "take it as an argument, or do not say pure:\n{}",
        wrong.join("\n")
    );
    Ok(())
}
