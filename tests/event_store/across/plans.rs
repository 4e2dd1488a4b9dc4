//! What a page costs: neither where it lies nor how much is stored matters, whatever is known of the tables.

use serde_json::Value;
use sqlx::{AssertSqlSafe, Executor as _, PgConnection};
use system_tests::{Result, World};

/// Rows of the large store: the difference from a small one is to be seen in pages.
const ROWS: i32 = 40_000;
/// A page of ten events: in two pieces three levels of an index for each, and the ground.
const PAGE_MOST: i64 = 160;
/// What is new, when nearly nothing is.
const NEW_MOST: i64 = 80;

async fn buffers(connection: &mut PgConnection, arguments: &str) -> Result<i64> {
    let call =
        format!("explain (analyze, buffers, format json) select * from outbox.read_events({arguments})");
    let plan: Value = sqlx::query_scalar(AssertSqlSafe(call))
        .fetch_one(connection)
        .await?;
    let count = |name: &str| plan[0]["Plan"][name].as_i64().unwrap_or(0);
    Ok(count("Shared Hit Blocks") + count("Shared Read Blocks"))
}

async fn cursor(connection: &mut PgConnection, pages: i32) -> Result<String> {
    let mut cursor: Option<String> = None;
    for _ in 0..pages {
        cursor = sqlx::query_scalar(
            "select next_cursor from outbox.read_events($1, max => 5000) where next_cursor is not null",
        )
        .bind(cursor)
        .fetch_one(&mut *connection)
        .await?;
    }
    Ok(cursor.expect("a page was read"))
}

async fn fill(connection: &mut PgConnection, rows: i32) -> Result {
    sqlx::query(
        "insert into outbox.log (retention, id, source, type, stream, version, category)
         select case when n % 5 = 0 then 'archive' else 'stream' end, gen_random_uuid(), 'test', 'placed', s.id, n / 2 + 1, s.category
         from generate_series(2, $1 + 1) n
         join (select s.*, row_number() over (order by s.id) % 2 as half from outbox.stream s where s.name like '%-1') s on s.half = n % 2",
    )
    .bind(rows)
    .execute(connection)
    .await?;
    Ok(())
}

/// What pages cost, by what they are.
async fn costs(connection: &mut PgConnection, deep: &str, newest: &str) -> Result<Vec<(String, i64, i64)>> {
    let mut costs = Vec::new();
    for (arguments, most) in [
        ("max => 10".to_owned(), PAGE_MOST),
        (format!("'{deep}', max => 10"), PAGE_MOST),
        ("categories => '{order}', max => 10".to_owned(), PAGE_MOST),
        (
            format!("'{deep}', categories => '{{order}}', max => 10"),
            PAGE_MOST,
        ),
        (
            format!("'{deep}', categories => '{{order,cart,rare}}', max => 10"),
            PAGE_MOST,
        ),
        (format!("'{deep}', categories => '{{rare}}', max => 10"), NEW_MOST),
        ("backward => true, max => 10".to_owned(), PAGE_MOST),
        (
            "backward => true, categories => '{order}', max => 10".to_owned(),
            PAGE_MOST,
        ),
        (format!("'{newest}', max => 10"), NEW_MOST),
        (format!("'{newest}', backward => true, max => 10"), NEW_MOST),
        (
            format!("'{newest}', categories => '{{cart}}', max => 10"),
            NEW_MOST,
        ),
    ] {
        // The first call of a session reads catalogues too.
        buffers(connection, &arguments).await?;
        let pages = buffers(connection, &arguments).await?;
        costs.push((arguments, pages, most));
    }
    Ok(costs)
}

#[tokio::test]
async fn a_page_costs_the_same_wherever_it_lies_and_however_much_is_stored() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    for stream in ["rare-2", "order-1", "cart-1"] {
        sqlx::query("select outbox.append_to_stream($1, null, '[{\"type\": \"placed\"}]')")
            .bind(stream)
            .execute(&mut connection)
            .await?;
    }
    // One that makes its plans while nearly nothing is stored.
    let mut early = world.connect().await?;
    let first = cursor(&mut early, 1).await?;
    costs(&mut early, &first, &first).await?;
    fill(&mut connection, ROWS).await?;
    let deep = cursor(&mut connection, ROWS / 5_000 - 1).await?;
    let newest: String = sqlx::query_scalar("select outbox.newest_cursor()")
        .fetch_one(&mut connection)
        .await?;
    connection
        .execute("select outbox.append_to_stream('cart-2', null, '[{\"type\": \"placed\"}]')")
        .await?;
    // By a session whose plans are of then, and by ones that have none yet: nothing is known of the tables; then all is.
    for whose in ["early", "new", "analyzed"] {
        if whose == "analyzed" {
            connection.execute("analyze").await?;
        }
        let mut other = world.connect().await?;
        let session = if whose == "early" { &mut early } else { &mut other };
        for (arguments, pages, most) in costs(session, &deep, &newest).await? {
            assert!(pages <= most, "{pages} pages, session {whose}: {arguments}");
        }
    }
    Ok(())
}
