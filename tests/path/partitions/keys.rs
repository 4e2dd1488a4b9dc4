//! Which partition a key has: the same in SQL, in the library, in the documentation and in Python.

use std::process::{Command, Stdio};

use outbox_core::tail::partition_of;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sqlx::PgConnection;
use system_tests::{Failure, Result, World};

const WIRE_FORMAT: &str = include_str!("../../../docs/wire-format.md");

/// What the documentation gives as a way to compute it.
const PYTHON: &str = r#"
import hashlib, json, sys
for key, partitions in json.load(sys.stdin):
    print(int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big") % partitions)
"#;

async fn in_sql(connection: &mut PgConnection, asked: &[(String, u16)]) -> Result<Vec<u16>> {
    let (keys, counts): (Vec<&str>, Vec<i32>) = asked
        .iter()
        .map(|(key, count)| (key.as_str(), i32::from(*count)))
        .unzip();
    let found: Vec<i32> = sqlx::query_scalar(
        "select outbox.partition_of(a.key, a.count) from unnest($1::text[], $2::integer[]) with ordinality a (key, count, n) order by n",
    )
    .bind(keys)
    .bind(counts)
    .fetch_all(connection)
    .await?;
    Ok(found
        .into_iter()
        .map(u16::try_from)
        .collect::<std::result::Result<_, _>>()?)
}

fn in_python(asked: &[(String, u16)]) -> Result<Vec<u16>> {
    let mut child = Command::new("python3")
        .args(["-c", PYTHON])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let input = child
        .stdin
        .take()
        .ok_or_else(|| Failure::new("no standard input"))?;
    serde_json::to_writer(input, asked)?;
    let said = child.wait_with_output()?;
    let lines = String::from_utf8(said.stdout)?;
    Ok(lines
        .lines()
        .map(str::parse)
        .collect::<std::result::Result<_, _>>()?)
}

/// The keys of the documentation's table with their partitions of 2, 8, 12 and 1024.
fn documented() -> Vec<(String, u16, u16)> {
    let cells = |line: &'static str| -> Vec<&'static str> { line.split('|').map(str::trim).collect() };
    let rows = WIRE_FORMAT
        .lines()
        .map(cells)
        .filter(|cells| cells.len() == 9 && cells[2].starts_with('`') && cells[3].parse::<u32>().is_ok());
    rows.flat_map(|cells| {
        let key = cells[1].trim_matches('`').to_owned();
        [(4, 2), (5, 8), (6, 12), (7, 1024)]
            .map(|(column, count)| (key.clone(), count, cells[column].parse().unwrap_or(u16::MAX)))
    })
    .collect()
}

#[tokio::test]
async fn a_key_has_the_partition_that_the_documentation_says_in_sql_in_the_library_and_in_python() -> Result {
    // GIVEN the vectors of the documentation
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    let vectors = documented();
    assert_eq!(vectors.len(), 7 * 4, "the table was read: {vectors:?}");
    let asked: Vec<(String, u16)> = vectors
        .iter()
        .map(|(key, count, _)| (key.clone(), *count))
        .collect();
    let said: Vec<u16> = vectors.iter().map(|(_, _, partition)| *partition).collect();
    // WHEN each of them computes it, THEN it is what is documented
    let in_rust = |asked: &[(String, u16)]| -> Vec<u16> {
        asked
            .iter()
            .map(|(key, count)| partition_of(key, *count))
            .collect()
    };
    assert_eq!(in_rust(&asked), said);
    assert_eq!(in_sql(&mut connection, &asked).await?, said);
    assert_eq!(in_python(&asked)?, said);
    // AND they agree about any key
    let seed: u64 = rand::random();
    eprintln!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let any: Vec<(String, u16)> = (0..2_000)
        .map(|_| {
            let length = random.random_range(1..60);
            let key: String = (0..length)
                .map(|_| random.random::<char>())
                .filter(|character| *character != '\0')
                .collect();
            (key, random.random_range(1..=1024))
        })
        .collect();
    let rust = in_rust(&any);
    assert_eq!(in_sql(&mut connection, &any).await?, rust);
    assert_eq!(in_python(&any)?, rust);
    Ok(())
}

#[tokio::test]
async fn keys_spread_evenly() -> Result {
    // GIVEN keys as services have them
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    for (kind, keys) in [
        ("numbers", "n::text"),
        ("names", "'customer-' || n"),
        ("uuids", "gen_random_uuid()::text"),
    ] {
        // WHEN 16,000 of them have a partition of 8
        let spread: Vec<i64> = sqlx::query_scalar(sqlx::AssertSqlSafe(format!(
            "select count(*) from generate_series(1, 16000) n group by outbox.partition_of({keys}, 8)"
        )))
        .fetch_all(&mut connection)
        .await?;
        // THEN each has its eighth, more or less: six standard deviations are 251
        assert_eq!(spread.len(), 8, "{kind}");
        assert!(
            spread.iter().all(|count| (1_749..=2_251).contains(count)),
            "{kind}: {spread:?}"
        );
    }
    Ok(())
}
