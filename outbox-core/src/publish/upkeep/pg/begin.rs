//! Where a stream may begin again, as the ledger has it.

use tokio_postgres::types::Type;

use crate::event::EntryId;
use crate::publish::pg::signed;
use crate::tail::pg::Session;
use crate::tail::pg::column::{above, get, snapshot, unsigned};
use crate::tail::reissue::Behind;
use crate::tail::{Error, StreamId};

const END_BEFORE: &str = include_str!("../../../../queries/publish/end_before.sql");
const LOCATE_START: &str = include_str!("../../../../queries/publish/locate_start.sql");

/// The last entry of a share that is wholly before `id`; 0-0 where there is none.
pub(in crate::publish::upkeep) async fn end_before(
    session: &Session,
    stream: &StreamId,
    id: EntryId,
) -> Result<EntryId, Error> {
    let (batch_id, position) = (signed(id.batch_id), signed(id.position));
    let rows = session
        .query(
            END_BEFORE,
            &[
                (&stream.topic, Type::TEXT),
                (&stream.slot(), Type::INT4),
                (&batch_id, Type::INT8),
                (&position, Type::INT8),
            ],
        )
        .await?;
    match rows.first() {
        None => Ok(EntryId::MIN),
        Some(row) => Ok(EntryId::new(
            unsigned(get(row, "batch_id")?)?,
            unsigned(get(row, "position")?)?,
        )),
    }
}

/// What stands behind the beginning of a stream that began after the oldest batch of the ledger; none if it may be older.
pub(in crate::publish::upkeep) async fn locate_start(
    session: &Session,
    stream: &StreamId,
) -> Result<Option<Behind>, Error> {
    let rows = session
        .query(
            LOCATE_START,
            &[(&stream.topic, Type::TEXT), (&stream.slot(), Type::INT4)],
        )
        .await?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    Ok(Some(Behind {
        kept: EntryId::MIN,
        number: get(row, "number")?,
        base: snapshot(row, "base")?,
        base_number: get(row, "base_number")?,
        passed: above(row)?,
    }))
}
