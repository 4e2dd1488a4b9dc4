//! `migrations/schema.sql` is what the migrations make, as one text to read and to compare in reviews.
//!
//! After a change of the migrations: `UPDATE=1 cargo nextest run -p system-tests -E 'test(schema_sql)'`.

use std::path::PathBuf;
use std::process::Command;

use sqlx::{AssertSqlSafe, Executor};
use system_tests::{Failure, Result, Schema, World};
use xtask::servers::{Kind, find};

const HEAD: &str = "\
-- The whole database as the migrations in sql/ leave it, without data. Not run by anyone: read it, compare it.
-- Made by a test; see tests/migrations/snapshot.rs.
";

/// What pg_dump says about our two schemas, without what differs from one server or run to another.
fn dump(url: &str) -> Result<String> {
    let postgres = find(Kind::Postgres).ok_or_else(|| Failure::new("there is no Postgres"))?;
    let said = Command::new(postgres.with_file_name("pg_dump"))
        .args([
            "--schema-only",
            "--schema=outbox",
            "--schema=outbox_ops",
            "--dbname",
            url,
        ])
        .output()?;
    if !said.status.success() {
        return Err(Failure::new(String::from_utf8_lossy(&said.stderr)));
    }
    let mut text = String::new();
    for line in String::from_utf8_lossy(&said.stdout).lines() {
        // Comments, settings of the session, and the login that happened to migrate.
        let is_noise = line.starts_with("--")
            || (line.starts_with("SET ") && !line.contains("check_function_bodies"))
            || line.starts_with("\\")
            || line.starts_with("SELECT pg_catalog.set_config")
            || line.ends_with("OWNER TO postgres;");
        let is_blank_again = line.is_empty() && text.ends_with("\n\n");
        if !is_noise && !is_blank_again {
            text.push_str(line);
            text.push('\n');
        }
    }
    Ok(text)
}

#[tokio::test]
async fn schema_sql_equals_the_sum_of_the_migrations() -> Result {
    // GIVEN a migrated database
    let migrated = World::with_schema(Schema::Both).await?;
    // Without a row the functions look at the settings: of a database they would know its name.
    migrated
        .connect()
        .await?
        .execute("set session_replication_role = replica; delete from outbox.settings")
        .await?;
    let sum = dump(migrated.database_url())?;
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../migrations/schema.sql"));
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, format!("{HEAD}{sum}"))?;
    }
    // WHEN schema.sql is loaded, and the dump as well: one round through the server writes both in its own way
    let file = reload(&std::fs::read_to_string(&path)?).await?;
    let sum = reload(&sum).await?;
    // THEN the two are the same
    let difference = sum.lines().zip(file.lines()).find(|(sum, file)| sum != file);
    assert!(
        sum == file,
        "migrations/schema.sql differs, first here: {difference:?}; see tests/migrations/snapshot.rs"
    );
    Ok(())
}

/// What a server makes of a dump, of whatever version that is.
async fn reload(text: &str) -> Result<String> {
    let world = World::with_schema(Schema::Empty).await?;
    world
        .connect()
        .await?
        .execute(AssertSqlSafe(text.to_owned()))
        .await?;
    dump(world.database_url())
}
