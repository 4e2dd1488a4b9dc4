//! `pgbench`, which comes with Postgres: so many clients that repeat one script with prepared statements.

use std::io::Write as _;

use system_tests::{Failure, Result};
use tempfile::NamedTempFile;

use super::program::pgbench;

/// Repeats a script, so many transactions of each client. Its variables have these values, each bound as a parameter.
///
/// # Errors
/// With what it said, when it failed or did less.
pub(super) async fn repeat(
    url: &str,
    script: &str,
    variables: &[(&str, String)],
    clients: u32,
    each: u32,
) -> Result {
    let variables = variables.iter();
    let mut file = NamedTempFile::new()?;
    file.write_all(script.as_bytes())?;
    let ended = tokio::process::Command::new(pgbench()?)
        .args(["--no-vacuum", "--protocol", "prepared", "--jobs", "2"])
        .args([
            "--client",
            &clients.to_string(),
            "--transactions",
            &each.to_string(),
        ])
        .args(variables.map(|(name, value)| format!("--define={name}={value}")))
        .arg("--file")
        .arg(file.path())
        .arg(url)
        .kill_on_drop(true)
        .output()
        .await?;
    let said = String::from_utf8_lossy(&ended.stdout);
    let complained = String::from_utf8_lossy(&ended.stderr);
    match (ended.status.success(), parse(&said)) {
        (true, Some(transactions)) if transactions == u64::from(clients) * u64::from(each) => Ok(()),
        _ => Err(Failure::new(format!(
            "pgbench ended with {}: {said}{complained}",
            ended.status
        ))),
    }
}

/// Pure. How many transactions there were; none when one failed, or the number is missing.
fn parse(said: &str) -> Option<u64> {
    let after = |head: &str| {
        let line = said.lines().find_map(|line| line.strip_prefix(head))?;
        line.split_whitespace().next()
    };
    if after("number of failed transactions: ")? != "0" {
        return None;
    }
    // Where a number of them was wanted, that stands behind it: `3200/3200`.
    let done = after("number of transactions actually processed: ")?;
    done.split('/').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn what_it_says_is_read_and_a_failed_transaction_is_no_result() {
        let said = "number of transactions actually processed: 417\nnumber of failed transactions: 0 (0.000%)\n\
                    latency average = 1.2 ms\ntps = 83.4 (without initial connection time)\n";
        assert_eq!(parse(said), Some(417));
        assert_eq!(parse(&said.replace("417", "417/420")), Some(417));
        assert_eq!(parse(&said.replace(": 0 (", ": 1 (")), None);
        assert_eq!(parse("tps = 3"), None);
    }
}
