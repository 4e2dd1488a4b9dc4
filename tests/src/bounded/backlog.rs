//! Falls behind: appends while no relay runs, through the function that producers call, many events in each call.

use sqlx::{Executor, PgConnection};
use tokio::task::JoinSet;

use super::{Bounded, LARGE_BYTES, TOPICS};
use crate::{Result, World};

/// Events of one call, which is one transaction.
const AT_ONCE: u64 = 20_000;
const CONNECTIONS: u64 = 2;
/// Bytes of the text in an ordinary payload.
const FILLING_BYTES: i32 = 20;

const APPEND: &str = "
    select outbox.append_batch(
        array_fill(null::uuid, counted), topics, keys, nothing, nothing, nothing, array_fill(null::timestamptz, counted),
        nothing, nothing, nothing, nothing, nothing, nothing, nothing, nothing, data, array_fill(null::bytea, counted))
    from (
        select array[count(*)::integer] as counted, array_fill(null::text, array[count(*)::integer]) as nothing,
               array_agg(($5::text[])[1 + n % cardinality($5::text[])]) as topics,
               array_agg('key-' || n % $3::bigint) as keys,
               array_agg(json_build_object('number', n, 'filling', repeat('x', $4::integer))::text) as data
        from generate_series($1::bigint, $1::bigint + $2::bigint - 1) n
    ) events";

/// Appends the rows, and the large events evenly among them, the first with the first rows.
pub(super) async fn append(world: &World, of: Bounded) -> Result {
    allow_large(world).await?;
    let calls = of.rows.div_ceil(AT_ONCE);
    let mut tasks = JoinSet::new();
    for part in 0..CONNECTIONS.min(calls) {
        let mut connection = world.connect().await?;
        tasks.spawn(async move {
            for call in (part..calls).step_by(usize::try_from(CONNECTIONS)?) {
                for number in (0..of.large).filter(|number| number * calls / of.large == call) {
                    append_large(&mut connection, number).await?;
                }
                let first = call * AT_ONCE;
                append_rows(&mut connection, first, AT_ONCE.min(of.rows - first), of.keys).await?;
            }
            Ok::<_, crate::Failure>(())
        });
    }
    while let Some(finished) = tasks.join_next().await {
        finished??;
    }
    Ok(())
}

async fn allow_large(world: &World) -> Result {
    let mut connection = world.connect().await?;
    connection
        .execute("update outbox.settings set payload_limit_bytes = 16777216")
        .await?;
    Ok(())
}

async fn append_rows(connection: &mut PgConnection, first: u64, count: u64, keys: u64) -> Result {
    sqlx::query(APPEND)
        .bind(i64::try_from(first)?)
        .bind(i64::try_from(count)?)
        .bind(i64::try_from(keys)?)
        .bind(FILLING_BYTES)
        .bind(TOPICS.as_slice())
        .execute(connection)
        .await?;
    Ok(())
}

/// One event with a payload as large as the log takes: a JSON text of so many letters and two quotes.
pub(super) async fn append_large(connection: &mut PgConnection, number: u64) -> Result {
    let topic = TOPICS[usize::try_from(number)? % TOPICS.len()];
    sqlx::query("select outbox.append($1, to_json(repeat('x', $2)), key => 'large-' || $3::bigint)")
        .bind(topic)
        .bind(i32::try_from(LARGE_BYTES)? - 2)
        .bind(i64::try_from(number)?)
        .execute(connection)
        .await?;
    Ok(())
}
