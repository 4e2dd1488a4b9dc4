//! Which rows of the log come next, as events.

use tokio_postgres::Row as PgRow;
use tokio_postgres::types::{ToSql, Type};

use super::column::{above, get, passed, small, snapshot, stream_of, unsigned};
use super::intake::Intake;
use super::session::Session;
use crate::tail::batch::{BoundShare, Section, Share};
use crate::tail::layout::{Generation, Laid};
use crate::tail::row::{Form, Row};
use crate::tail::{Error, Kind, StreamId};

const READ_REISSUE: &str = include_str!("../../../queries/tail/read_reissue.sql");
const READ_SHARE: &str = include_str!("../../../queries/tail/read_share.sql");
const READ_WIDE_SHARE: &str = include_str!("../../../queries/tail/read_wide_share.sql");
const READ_PARTITIONS: &str = include_str!("../../../queries/tail/read_partitions.sql");
const NEXT_SHARE: &str = include_str!("../../../queries/tail/next_share.sql");

/// A stream of a topic, and the batch and position that it has come to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Come {
    pub(crate) slot: i32,
    pub(crate) batch_number: i64,
    pub(crate) position: i64,
}

/// Of each of these streams of a topic the first share that is not wholly passed. One that the ledger has nothing for is left out.
pub(crate) async fn next_shares(
    session: &Session,
    topic: &str,
    come: &[Come],
) -> Result<Vec<BoundShare>, Error> {
    let slots: Vec<i32> = come.iter().map(|come| come.slot).collect();
    let batches: Vec<i64> = come.iter().map(|come| come.batch_number).collect();
    let positions: Vec<i64> = come.iter().map(|come| come.position).collect();
    let rows = session
        .query(
            NEXT_SHARE,
            &[
                (&topic, Type::TEXT),
                (&slots, Type::INT4_ARRAY),
                (&batches, Type::INT8_ARRAY),
                (&positions, Type::INT8_ARRAY),
            ],
        )
        .await?;
    rows.iter().map(|row| bound_share(topic, row)).collect()
}

/// The first share of one stream that is not wholly passed.
pub(crate) async fn next_share(
    session: &Session,
    stream: &StreamId,
    batch_number: i64,
    position: i64,
) -> Result<Option<BoundShare>, Error> {
    let come = Come {
        slot: stream.slot(),
        batch_number,
        position,
    };
    let mut found = next_shares(session, &stream.topic, &[come]).await?;
    Ok(found.pop())
}

/// The next rows of one stream's share after `position`, at most `rows` of them and about `bytes`.
pub(crate) async fn read_share(
    session: &Session,
    bound: &BoundShare,
    position: i64,
    rows: i64,
    bytes: i64,
) -> Result<Vec<Row>, Error> {
    let share = &bound.share;
    let section = Section {
        topic: share.stream.topic.clone(),
        snapshot: bound.snapshot.clone(),
        before: bound.before.clone(),
        after: position.max(share.first_position - 1),
        last_position: share.last_position,
        first_new_position: share.first_new_position,
        partitions: share.partitions,
        only: share.stream.partition.map(|partition| vec![i32::from(partition)]),
        passed: bound.passed.clone(),
        era_floor: bound.era_floor,
        is_wide: false,
    };
    read_section(session, &section, rows, bytes, Form::Event).await
}

fn bound_share(topic: &str, row: &PgRow) -> Result<BoundShare, Error> {
    let batch_id = unsigned(get(row, "batch_id")?)?;
    let partitions = small(get(row, "partitions")?)?;
    let laid = match (get(row, "moved_generation")?, get(row, "moved_partitions")?) {
        (Some(number), Some(to)) => Some(Laid {
            topic: topic.to_owned(),
            generation: Generation {
                number,
                partitions: small(to)?,
                batch_id,
                moved: true,
            },
            before: partitions,
            at: get(row, "cut_at")?,
        }),
        _ => None,
    };
    Ok(BoundShare {
        batch_number: get(row, "batch_number")?,
        batch_id,
        snapshot: snapshot(row, "snapshot")?,
        before: snapshot(row, "snapshot_before")?,
        passed: above(row)?,
        era_floor: get(row, "era_floor")?,
        share: Share {
            stream: stream_of(topic.to_owned(), get(row, "partition")?)?,
            partitions,
            event_count: get(row, "event_count")?,
            first_position: get(row, "first_position")?,
            last_position: get(row, "last_position")?,
            first_new_position: get(row, "first_new_position")?,
        },
        laid,
    })
}

/// The next rows of a section, at most `rows` of them and about `bytes`, in the form that is wanted.
///
/// Where no payload is large, which is found out on the way, the number of rows bounds the bytes, and nothing is summed up.
pub(crate) async fn read_section(
    session: &Session,
    section: &Section,
    rows: i64,
    bytes: i64,
    form: Form,
) -> Result<Vec<Row>, Error> {
    let most = section.widest_payload(rows, bytes);
    if section.only.is_none() && section.passed.is_empty() && most > 0 {
        let found = read(session, section, (rows, Bound::Payload(most)), form).await?;
        if let Some(found) = found {
            return Ok(found);
        }
    }
    let found = read(session, section, (rows, Bound::Sum(bytes)), form).await?;
    found.ok_or_else(|| Error::new(Kind::Shape, "a payload was left out that was asked for"))
}

/// What bounds the bytes of a statement.
#[derive(Clone, Copy)]
enum Bound {
    /// The bytes of each payload, with the number of rows.
    Payload(i32),
    /// The sum of the bytes.
    Sum(i64),
}

async fn read(
    session: &Session,
    section: &Section,
    (rows, bound): (i64, Bound),
    form: Form,
) -> Result<Option<Vec<Row>>, Error> {
    // No new transactions in it: the first arm has nothing to find.
    let first_new = section.first_new_position.unwrap_or(section.last_position + 1);
    let xmax = section.before.xmax().to_string();
    let open: Vec<String> = section.before.open().iter().map(u64::to_string).collect();
    let snapshot = section.snapshot.to_string();
    let partitions = i32::from(section.partitions);
    let mut parameters: Vec<(&(dyn ToSql + Sync), Type)> = vec![
        (&section.topic, Type::TEXT),
        (&section.after, Type::INT8),
        (&section.last_position, Type::INT8),
        (&first_new, Type::INT8),
        (&xmax, Type::TEXT),
        (&open, Type::TEXT_ARRAY),
        (&snapshot, Type::TEXT),
        (&rows, Type::INT8),
    ];
    match &bound {
        Bound::Payload(most) => parameters.push((most, Type::INT4)),
        Bound::Sum(bytes) => parameters.push((bytes, Type::INT8)),
    }
    let (snapshots, positions) = passed(&section.passed);
    let sql = match &section.only {
        only if !section.passed.is_empty() => {
            parameters.push((&snapshots, Type::TEXT_ARRAY));
            parameters.push((&positions, Type::INT8_ARRAY));
            parameters.push((&partitions, Type::INT4));
            parameters.push((only, Type::INT4_ARRAY));
            parameters.push((&section.era_floor, Type::INT8));
            READ_REISSUE
        }
        Some(only) => {
            parameters.push((&partitions, Type::INT4));
            parameters.push((only, Type::INT4_ARRAY));
            READ_PARTITIONS
        }
        None => match bound {
            Bound::Payload(_) => READ_SHARE,
            Bound::Sum(_) => READ_WIDE_SHARE,
        },
    };
    let mut intake = Intake::new(&section.topic, section.partitions, form);
    session
        .query_each(sql, &parameters, &mut |row| intake.take(row))
        .await?;
    intake.finish()
}
