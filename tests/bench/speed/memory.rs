//! How much memory a process had, out of `/proc`. Linux only.

use std::fs;

use system_tests::{Failure, Result};

/// The most that it had resident so far, in bytes.
///
/// # Errors
/// When it is gone.
pub(crate) fn peak_bytes(process: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let kilobytes = peak_kilobytes(&status);
    kilobytes
        .map(|kilobytes| kilobytes * 1024)
        .ok_or_else(|| Failure::new(format!("process {process} has no VmHWM in /proc")))
}

/// Pure.
fn peak_kilobytes(status: &str) -> Option<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    value.trim().trim_end_matches(" kB").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{peak_bytes, peak_kilobytes};
    use system_tests::Result;

    #[test]
    fn the_peak_is_read_and_a_process_that_is_gone_has_none() -> Result {
        assert_eq!(
            peak_kilobytes("VmPeak:\t 9 kB\nVmHWM:\t    1234 kB\n"),
            Some(1234)
        );
        assert_eq!(peak_kilobytes("Name:\tzombie\n"), None);
        assert!(peak_bytes(std::process::id())? > 0);
        Ok(())
    }
}
