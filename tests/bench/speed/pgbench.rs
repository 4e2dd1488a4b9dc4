//! `pgbench`, which comes with Postgres: so many clients that repeat one script with prepared statements.

use std::io::Write as _;

use system_tests::{Failure, Result};
use tempfile::NamedTempFile;

use super::program::pgbench;

/// What it did.
#[derive(Clone, Copy, Debug)]
pub(super) struct Done {
    pub(super) transactions: i64,
    /// Transactions in a second, without the time that connecting took.
    pub(super) rate: f64,
}

/// How much of it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Much {
    Seconds(u32),
    /// Transactions of each client.
    Each(u32),
}

/// Repeats a script. Its variables have these values, each bound as a parameter. A transaction that failed is an error.
pub(super) async fn repeat(
    url: &str,
    script: &str,
    variables: &[(&str, String)],
    clients: u32,
    much: Much,
) -> Result<Done> {
    let (option, count) = match much {
        Much::Seconds(seconds) => ("--time", seconds),
        Much::Each(transactions) => ("--transactions", transactions),
    };
    let variables = variables.iter();
    let mut file = NamedTempFile::new()?;
    file.write_all(script.as_bytes())?;
    let ended = tokio::process::Command::new(pgbench()?)
        .args(["--no-vacuum", "--protocol", "prepared", "--jobs", "2"])
        .args(["--client", &clients.to_string(), option, &count.to_string()])
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
        (true, Some(done)) => Ok(done),
        _ => Err(Failure::new(format!(
            "pgbench ended with {}: {said}{complained}",
            ended.status
        ))),
    }
}

/// Pure. None when one failed, or a number is missing.
fn parse(said: &str) -> Option<Done> {
    let after = |head: &str| {
        let line = said.lines().find_map(|line| line.strip_prefix(head))?;
        line.split_whitespace().next()
    };
    if after("number of failed transactions: ")? != "0" {
        return None;
    }
    Some(Done {
        // Where a number of them was wanted, that stands behind it: `3200/3200`.
        transactions: after("number of transactions actually processed: ")?
            .split('/')
            .next()?
            .parse()
            .ok()?,
        rate: after("tps = ")?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn what_it_says_is_read_and_a_failed_transaction_is_no_result() {
        let said = "number of transactions actually processed: 417\nnumber of failed transactions: 0 (0.000%)\n\
                    latency average = 1.2 ms\ntps = 83.4 (without initial connection time)\n";
        assert!(parse(said).is_some_and(|done| done.transactions == 417 && (done.rate - 83.4).abs() < 1e-9));
        let counted = said.replace("417", "417/417");
        assert!(parse(&counted).is_some_and(|done| done.transactions == 417));
        assert!(parse(&said.replace(": 0 (", ": 1 (")).is_none());
        assert!(parse("tps = 3").is_none());
    }
}
