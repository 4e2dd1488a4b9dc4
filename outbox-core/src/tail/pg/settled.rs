//! What appends know by functions in place of a look at the settings and the topics: kept equal by triggers, and compared here.
//!
//! The tables are what holds. A restore of data with triggers disabled goes past them, and then appends would give events another source or
//! keep them for another time than the tables say.

use super::column::get;
use super::session::Session;
use crate::tail::Error;

const SETTLE_ANEW: &str = include_str!("../../../queries/tail/settle_anew.sql");

/// Has appends follow the tables again where they do not, and says so. That it could not be asked keeps nobody from what else upkeep does.
pub(crate) async fn settle_anew(session: &Session) {
    match asked(session).await {
        Ok(false) => {}
        Ok(true) => tracing::warn!(
            "SETTLED-ANEW: what appends knew of outbox.settings and outbox.topic was not what these say, or could not be shown to be (rows that were changed past \
             the triggers; a restore): what was appended before may have another source, payload limit or retention; from here on it has those of \
             the tables; docs/recovering.md says how to find such events"
        ),
        Err(error) => tracing::warn!(
            %error,
            advice = error.advice(),
            "whether appends know the settings and topics as they are could not be compared: it is tried again with the next round of upkeep"
        ),
    }
}

async fn asked(session: &Session) -> Result<bool, Error> {
    let rows = session.query(SETTLE_ANEW, &[]).await?;
    rows.first().map_or(Ok(false), |row| get(row, "is_settled"))
}
