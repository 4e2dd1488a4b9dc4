//! Whether the server has room for the locks of this member. A transaction has one per event in hand, and one per table.
//!
//! The server's room is for all of its sessions, and whoever needs a lock when there is none left fails, strangers too. So
//! what could take half of it is said at the start.

use super::settings::Settings;

/// Tables and indexes that a transaction of the inbox touches: the days around its events, mostly.
const TABLES: i64 = 100;

/// What the member could take and what there is, if that is too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scarce {
    /// Locks that all its transactions together may have.
    pub(super) wants: i64,
    /// Locks that the server has room for.
    pub(super) room: i64,
}

/// Whether transactions on so many connections could take more than half of the room.
pub(super) fn scarce(settings: &Settings, connections: u32, room: i64) -> Option<Scarce> {
    let batch = i64::try_from(settings.batch).unwrap_or(i64::MAX);
    let wants = batch.saturating_add(TABLES).saturating_mul(connections.into());
    (wants > room / 2).then_some(Scarce { wants, room })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_fit_into_a_server_as_it_comes_and_large_batches_on_many_connections_do_not() {
        let room = 64 * 100;
        let mut settings = Settings::default();
        assert_eq!(scarce(&settings, 10, room), None);
        settings.batch = 1_000;
        let wants = 100 * (1_000 + TABLES);
        assert_eq!(scarce(&settings, 100, room), Some(Scarce { wants, room }));
    }
}
