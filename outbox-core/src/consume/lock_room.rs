//! Whether the server has room for the locks of this member. A transaction has one per event in hand, and one per table.
//!
//! The server's room is for all of its sessions, and whoever needs a lock when there is none left fails, strangers too. So
//! what could take half of it is said at the start. Larger transactions than were asked for are only made where those of one member
//! take no more than a third.

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

/// How many events may be handed over together while a stream is behind.
pub(super) fn together(settings: &Settings, connections: u32, room: i64) -> usize {
    let each = room / 3 / i64::from(connections.max(1)) - TABLES;
    let most = usize::try_from(each).unwrap_or(0);
    settings.together.min(most).max(settings.batch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_events_than_usual_are_handed_over_only_where_there_is_room_for_their_locks() {
        let mut settings = Settings::default();
        assert_eq!(together(&settings, 10, 64 * 100), settings.together);
        assert_eq!(together(&settings, 12, 64 * 90), 60);
        assert_eq!(together(&settings, 10, 64 * 50), settings.batch);
        assert_eq!(together(&settings, 0, 0), settings.batch);
        // What was asked for stays.
        (settings.batch, settings.together) = (1_000, 1_000);
        assert_eq!(together(&settings, 100, 64 * 100), 1_000);
    }

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
