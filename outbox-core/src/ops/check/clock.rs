//! Whether the clocks of the two servers and of this machine agree.

use super::Check;

/// Leases and batch ids go by the database's clock alone, so this bounds what is shown, not what is safe.
const TOLERATED_SECONDS: f64 = 2.0;

/// Compares how far each server's clock is from ours, in seconds.
#[must_use]
pub fn clocks(postgres: Option<f64>, redis: Option<f64>) -> Check {
    const NAME: &str = "clocks";
    let offsets = [("Postgres", postgres), ("Redis", redis)];
    let known: Vec<(&str, f64)> = offsets
        .into_iter()
        .filter_map(|(name, offset)| Some((name, offset?)))
        .collect();
    let seen: Vec<String> = known
        .iter()
        .map(|(name, offset)| format!("{name} {offset:+.3} s against this machine"))
        .collect();
    let seen = seen.join(", ");
    match known.iter().any(|(_, offset)| offset.abs() > TOLERATED_SECONDS) {
        false => Check::passed(NAME, seen),
        true => Check::found(
            NAME,
            seen,
            "delays that are measured between machines are wrong by that much; order and leases are not, they use one clock",
            "synchronise the clocks (chrony, systemd-timesyncd)",
        ),
    }
}
