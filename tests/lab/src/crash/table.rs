//! Pure: which point is reached in which process, by what.

use outbox_core::crash::{self, Point};

/// What is done at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The process ends at once.
    Exit,
    /// The task panics.
    Panic,
    /// The function fails.
    Error,
    /// The task stands still for longer than the leases.
    Stall,
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Exit, Self::Panic, Self::Error, Self::Stall];

    /// As it is armed by.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Exit => "exit",
            Self::Panic => "panic",
            Self::Error => "error",
            Self::Stall => "stall",
        }
    }
}

/// In which process a point is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Process {
    /// The relay.
    Relay,
    /// A member of the consumer group.
    Member,
    /// A command, which is run again afterwards.
    Command,
}

/// What makes it come to the point, beside the load, in which events fail and are poisoned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provocation {
    /// Nothing else.
    Load,
    /// The producers pause.
    Quiet,
    /// The topic grows.
    Grow,
    /// The stream loses its end.
    Loss,
    /// The stream loses its end, and the log has it no more.
    Gone,
    /// Somebody moves the group beyond what its members had.
    Skip,
    /// Entries are old at once.
    Old,
    /// The log has come far beyond its pieces.
    Far,
    /// No relay was there while the log went on.
    Behind,
    /// What is poisoned is mended, and dead letters go back.
    Redrive,
    /// The group reads again from the beginning.
    Seek,
    /// A database is migrated.
    Migrate,
    /// A copy wrote to the streams, and that is recovered from.
    Recover,
}

/// How a point is visited.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The point.
    pub point: Point,
    /// Where it is.
    pub process: Process,
    /// What leads there.
    pub provocation: Provocation,
    /// Which visit does harm.
    pub nth: u32,
}

const fn row(point: Point, process: Process, provocation: Provocation, nth: u32) -> Row {
    Row {
        point,
        process,
        provocation,
        nth,
    }
}

/// A row for every point.
pub const TABLE: &[Row] = {
    use Process::{Command, Member, Relay};
    use Provocation::{
        Behind, Far, Gone, Grow, Load, Loss, Migrate, Old, Quiet, Recover, Redrive, Seek, Skip,
    };
    &[
        row(crash::LEASE_BEFORE_TAKE, Relay, Load, 4),
        row(crash::LEASE_TAKEN, Relay, Load, 3),
        row(crash::BATCH_BEFORE_CUT, Relay, Load, 20),
        row(crash::BATCH_COUNTED, Relay, Behind, 1),
        row(crash::BATCH_COMMITTED, Relay, Load, 10),
        row(crash::SLEEP_LOCKED, Relay, Quiet, 2),
        row(crash::LAYOUT_LAID, Relay, Grow, 2),
        row(crash::REISSUE_CUT, Relay, Loss, 1),
        row(crash::LOSS_RECORDED, Relay, Gone, 1),
        row(crash::PARCEL_BEFORE_SEND, Relay, Load, 10),
        row(crash::PARCEL_SENT, Relay, Load, 10),
        row(crash::PARCEL_CONFIRMED, Relay, Load, 10),
        row(crash::PROGRESS_BEFORE_RECORD, Relay, Load, 3),
        row(crash::PROGRESS_RECORDED, Relay, Load, 3),
        row(crash::FLOOR_RECORDED, Relay, Old, 2),
        row(crash::TRIMMED, Relay, Old, 2),
        row(crash::PIECE_MADE, Relay, Far, 1),
        row(crash::PIECE_DETACHED, Relay, Far, 1),
        row(crash::STREAM_LEASED, Member, Load, 1),
        row(crash::GROUP_MADE, Member, Load, 1),
        row(crash::GROUP_SET_BACK, Member, Skip, 1),
        row(crash::CONSUME_READ, Member, Load, 5),
        row(crash::INBOX_ENTERED, Member, Load, 5),
        row(crash::HANDLER_BEFORE, Member, Load, 10),
        row(crash::HANDLER_AFTER, Member, Load, 10),
        row(crash::PARKED, Member, Load, 1),
        row(crash::DEAD_LETTERED, Member, Load, 1),
        row(crash::INBOX_BEFORE_COMMIT, Member, Load, 5),
        row(crash::INBOX_COMMITTED, Member, Load, 5),
        row(crash::ACKNOWLEDGED, Member, Load, 3),
        row(crash::PASSED_RECORDED, Member, Load, 2),
        row(crash::LANE_BEFORE_COMMIT, Member, Load, 1),
        row(crash::LANE_COMMITTED, Member, Load, 1),
        row(crash::REDRIVE_RELEASED, Member, Redrive, 1),
        row(crash::SEEK_SEIZED, Command, Seek, 1),
        row(crash::SEEK_WRITTEN, Command, Seek, 1),
        row(crash::SEEK_MOVED, Command, Seek, 1),
        row(crash::ENTRIES_KEPT, Command, Recover, 1),
        row(crash::ENTRIES_TAKEN_OFF, Command, Recover, 1),
        row(crash::ERA_OPENED, Command, Recover, 1),
        row(crash::MIGRATED_ONE_SET, Command, Migrate, 1),
    ]
};

#[cfg(test)]
mod tests {
    use outbox_core::crash::ALL;

    use super::TABLE;

    #[test]
    fn every_point_has_one_row() {
        for point in ALL {
            let rows = TABLE.iter().filter(|row| row.point == *point).count();
            assert_eq!(rows, 1, "{} is visited by {rows} rows", point.name());
        }
        assert_eq!(TABLE.len(), ALL.len());
    }
}
