//! What Postgres must be like.

use outbox_migrations::{State, Status};

use super::Check;

/// The oldest version that every test runs on.
const OLDEST_VERSION: i32 = 150_000;
/// From half of it on the doorbell is silent; a full queue fails commits that notify.
const FULL_QUEUE: f64 = 0.5;

/// What a server is and how it is set.
#[derive(Clone, Debug)]
pub struct ServerFacts {
    /// `server_version_num`.
    pub version_number: i32,
    /// `server_version`.
    pub version: String,
    /// Whether it is a standby or still recovering.
    pub in_recovery: bool,
    /// Which physical database this is.
    pub system_identifier: i64,
    /// Whether a commit is on the disk before it is confirmed.
    pub fsync: bool,
    /// Whether pages torn by a crash can be mended.
    pub full_page_writes: bool,
    /// More than none allows two-phase commit.
    pub max_prepared_transactions: i32,
    /// How full the notification queue is, 0 to 1.
    pub notification_queue_usage: f64,
    /// Its clock, in seconds since 1970.
    pub clock: f64,
    /// The role we are.
    pub user_name: String,
}

/// Whether the log is what a relay needs, and what the current role may do with it.
#[derive(Clone, Debug)]
pub struct LogFacts {
    /// How many positions a session takes at once.
    pub sequence_cache: Option<i64>,
    /// The physical database of the newest era.
    pub era_system_identifier: Option<i64>,
    /// Whether the newest batch saw transactions that this database has not reached.
    pub snapshot_is_older: bool,
    /// Whether the role may run a relay.
    pub may_relay: bool,
    /// Whether the role may make and drop pieces.
    pub may_maintain: bool,
    /// Whether the role sees what sessions of others do.
    pub may_see_sessions: bool,
    /// Whether the doorbell's trigger is there and enabled.
    pub doorbell: bool,
    /// Roles that may insert into any column of the log.
    pub forgers: Vec<String>,
    /// Pieces whose detaching was interrupted.
    pub pieces_half_detached: i64,
    /// Empty pieces ahead of the log, in the class that has the fewest.
    pub pieces_ahead: Option<i64>,
    /// What the streams' marks call this database.
    pub database_id: String,
    /// What separates its streams from those of other databases.
    pub writer: Option<String>,
    /// Id of the newest batch.
    pub last_batch_id: i64,
}

/// Checks the server, whatever is in the database.
#[must_use]
pub fn server(facts: &ServerFacts) -> Vec<Check> {
    vec![
        version(facts),
        recovery(facts),
        durability(facts),
        two_phase(facts),
        queue(facts),
    ]
}

fn version(facts: &ServerFacts) -> Check {
    const NAME: &str = "postgres.version";
    match facts.version_number >= OLDEST_VERSION {
        true => Check::passed(NAME, format!("Postgres {}", facts.version)),
        false => Check::found(
            NAME,
            format!("Postgres {}", facts.version),
            "versions below 15 are not tested and lack what the log's pieces need",
            "use Postgres 15 or newer",
        ),
    }
}

fn recovery(facts: &ServerFacts) -> Check {
    const NAME: &str = "postgres.primary";
    match facts.in_recovery {
        false => Check::passed(NAME, "a primary"),
        true => Check::refused(
            NAME,
            "a standby, or a server that still recovers",
            "its snapshots do not name the transactions in progress, so a batch cut there would lose events",
            "point DATABASE_URL at the primary",
        ),
    }
}

fn durability(facts: &ServerFacts) -> Check {
    const NAME: &str = "postgres.durability";
    let on = |value: bool| if value { "on" } else { "off" };
    let seen = format!(
        "fsync {}, full_page_writes {}",
        on(facts.fsync),
        on(facts.full_page_writes)
    );
    match (facts.fsync, facts.full_page_writes) {
        (true, true) => Check::passed(NAME, seen),
        (true, false) => Check::found(
            NAME,
            seen,
            "a crash of the machine may leave torn pages in the log, unless the file system forbids them",
            "set full_page_writes = on",
        ),
        (false, _) => Check::refused(
            NAME,
            seen,
            "a crash of the machine may undo commits whose events are published already, or corrupt the log",
            "set fsync = on",
        ),
    }
}

fn two_phase(facts: &ServerFacts) -> Check {
    const NAME: &str = "postgres.two_phase_commit";
    Check::passed(
        NAME,
        match facts.max_prepared_transactions {
            0 => "off".to_owned(),
            n => format!(
                "max_prepared_transactions {n}; producers that prepare transactions must set outbox.notify = off"
            ),
        },
    )
}

fn queue(facts: &ServerFacts) -> Check {
    const NAME: &str = "postgres.notification_queue";
    let seen = format!("{:.1} % full", facts.notification_queue_usage * 100.0);
    match facts.notification_queue_usage < FULL_QUEUE {
        true => Check::passed(NAME, seen),
        false => Check::found(
            NAME,
            seen,
            "a session that listens sits in a long transaction; our doorbell is silent from 50 % on, and when the queue is full, commits of whoever notifies fail",
            "find it: select pid, xact_start from pg_stat_activity where xact_start < now() - interval '1 hour'",
        ),
    }
}

/// Checks which migrations are applied.
#[must_use]
pub fn schema(name: &'static str, status: &Status) -> Check {
    let seen = match status.applied {
        None => "not there".to_owned(),
        Some(applied) => format!("version {applied} of {}", status.known),
    };
    match status.state() {
        State::Current => Check::passed(name, seen),
        State::Absent | State::Behind => Check::found(
            name,
            seen,
            "this binary needs what is missing",
            "outbox-relay migrate, as the owner of the database; binaries of the version before go on working meanwhile",
        ),
        State::Newer => Check::refused(
            name,
            seen,
            "the database was migrated by a newer binary; what it changed is unknown to this one",
            "use the newer binary",
        ),
    }
}

/// Checks the log and what we may do with it.
#[must_use]
pub fn log(server: &ServerFacts, facts: &LogFacts) -> Vec<Check> {
    vec![
        identity(server, facts),
        history(facts),
        sequence(facts),
        role(server, facts),
        producers(facts),
        doorbell(facts),
        pieces(server, facts),
    ]
}

fn identity(server: &ServerFacts, facts: &LogFacts) -> Check {
    const NAME: &str = "log.identity";
    let seen = format!("system identifier {}", server.system_identifier);
    match facts.era_system_identifier {
        Some(era) if era != server.system_identifier => Check::refused(
            NAME,
            format!("{seen}, the ledger's is {era}"),
            "this database was loaded from a dump or upgraded logically: the ledger's snapshots mean nothing here, and new events would silently never be selected",
            "do not publish from it; keep the streams' consumers running and ask for the recovery of this database",
        ),
        _ => Check::passed(NAME, seen),
    }
}

fn history(facts: &LogFacts) -> Check {
    const NAME: &str = "log.history";
    match facts.snapshot_is_older {
        false => Check::passed(NAME, "not behind the ledger"),
        true => Check::refused(
            NAME,
            "the newest batch saw transactions that this database has not reached yet",
            "Postgres went back in time (a restore, or a standby that lost its end): events appended now would not be selected",
            "do not publish from it; find out which copy is the newest",
        ),
    }
}

fn sequence(facts: &LogFacts) -> Check {
    const NAME: &str = "log.sequence";
    match facts.sequence_cache {
        Some(1) => Check::passed(NAME, "cache 1"),
        other => Check::refused(
            NAME,
            other.map_or_else(
                || "outbox.log_position is missing".to_owned(),
                |cache| format!("cache {cache}"),
            ),
            "sessions take positions ahead, so two events of one key may have them in the wrong order",
            "alter sequence outbox.log_position cache 1",
        ),
    }
}

fn role(server: &ServerFacts, facts: &LogFacts) -> Check {
    const NAME: &str = "log.role";
    let user = &server.user_name;
    let missing: Vec<&str> = [
        (facts.may_relay, "outbox_relay"),
        (facts.may_maintain, "outbox_maintainer"),
        (facts.may_see_sessions, "pg_read_all_stats"),
    ]
    .into_iter()
    .filter_map(|(has, role)| (!has).then_some(role))
    .collect();
    if missing.is_empty() {
        return Check::passed(NAME, format!("{user} may relay, maintain and see sessions"));
    }
    let means = match (facts.may_relay, facts.may_maintain) {
        (false, _) => "it cannot cut batches nor record what is published",
        (true, false) => "it cannot make and drop pieces: nothing is lost, but space does not come back",
        (true, true) => "who holds transactions open is shown without details",
    };
    let roles = missing.join(", ");
    Check::found(
        NAME,
        format!("{user} is no member of {roles}"),
        means,
        format!("grant {roles} to \"{user}\""),
    )
}

fn producers(facts: &LogFacts) -> Check {
    const NAME: &str = "log.producers";
    match facts.forgers.as_slice() {
        [] => Check::passed(NAME, "nobody may write position or transaction id"),
        forgers => Check::found(
            NAME,
            format!("{} may insert into all columns of outbox.log", forgers.join(", ")),
            "a wrong position or transaction id makes events be lost or published out of order",
            "revoke insert on outbox.log from them; grant outbox_producer instead",
        ),
    }
}

fn doorbell(facts: &LogFacts) -> Check {
    const NAME: &str = "log.doorbell";
    match facts.doorbell {
        true => Check::passed(NAME, "enabled"),
        false => Check::found(
            NAME,
            "the trigger doorbell on outbox.log is missing or disabled",
            "the relay is not woken for what is inserted into outbox.log and outbox.outgoing: it waits for the next slow poll",
            "alter table outbox.log enable trigger doorbell",
        ),
    }
}

fn pieces(server: &ServerFacts, facts: &LogFacts) -> Check {
    const NAME: &str = "log.pieces";
    let ahead = facts.pieces_ahead.unwrap_or(0);
    let seen = format!(
        "{ahead} empty pieces ahead, {} half detached",
        facts.pieces_half_detached
    );
    match (ahead, facts.pieces_half_detached) {
        (1.., 0) => Check::passed(NAME, seen),
        (1.., _) => Check::found(
            NAME,
            seen,
            "detaching a piece was interrupted; the next one waits for it",
            "the relay's upkeep finishes it; see outbox_ops.waiting_transactions for who keeps it from doing so",
        ),
        (_, _) => Check::found(
            NAME,
            seen,
            "appends go on in the last piece, which is open to the end, but it cannot be dropped as a small one can",
            format!(
                "let a relay run with maintain.enabled and a role in outbox_maintainer (now {})",
                server.user_name
            ),
        ),
    }
}
