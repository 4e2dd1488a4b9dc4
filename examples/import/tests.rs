//! Imports into a real database.

use std::path::PathBuf;

use clap::Parser;
use sqlx::{Connection, PgConnection, Row};
use tempfile::TempDir;
use xtask::servers::Postgres;

use super::pg::Log;
use super::{Arguments, Error, Summary, batch, input, run};
use crate::Result;
use crate::backstage::create_database;

/// A server with an outbox, and a folder for files.
struct World {
    server: Postgres,
    folder: TempDir,
}

impl World {
    async fn new() -> Result<Self> {
        let server = Postgres::options().start()?;
        create_database(&server.url("postgres"), "import").await?;
        let mut connection = PgConnection::connect(&server.url("import")).await?;
        outbox_migrations::migrate_log(&mut connection).await?;
        Ok(Self {
            server,
            folder: TempDir::new()?,
        })
    }

    fn file(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text)?;
        Ok(path)
    }

    fn arguments(&self, file: &std::path::Path, more: &[&str]) -> Result<Arguments> {
        let url = self.server.url("import");
        let file = file.display().to_string();
        let fixed = ["import", "--database-url", &url, &file, "--topic", "numbers"];
        Ok(Arguments::try_parse_from(fixed.iter().chain(more))?)
    }

    async fn import(&self, file: &std::path::Path, more: &[&str]) -> Result<Summary, Error> {
        run(self
            .arguments(file, more)
            .map_err(|error| Error::Usage(vec![error.to_string()]))?)
        .await
    }

    /// The payloads in the log, in order.
    async fn payloads(&self) -> Result<Vec<String>> {
        let mut connection = PgConnection::connect(&self.server.url("import")).await?;
        let rows = sqlx::query("select data::text as data from outbox.log order by position")
            .fetch_all(&mut connection);
        Ok(rows
            .await?
            .iter()
            .map(|row| row.try_get("data"))
            .collect::<Result<_, _>>()?)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_lines_are_skipped_by_number_or_end_the_import_where_they_are() -> Result {
    let world = World::new().await?;
    let too_large = format!("{{\"n\":\"{}\"}}", "x".repeat(300 * 1024));
    let text = format!("{{\"n\": 1.10}}\nnonsense\n{{\"n\":2}}\n{too_large}\n{{\"n\":3}}\n");
    let file = world.file("numbers.ndjson", &text)?;

    let Err(Error::BadLine { line: 2, .. }) = world.import(&file, &["--name", "fatal"]).await else {
        return Err("line 2 must end the import".into());
    };
    assert_eq!(world.payloads().await?, [r#"{"n": 1.10}"#]);
    let mended = world.file("numbers.ndjson", &text.replace("nonsense", r#"{"n":"mended"}"#))?;
    // The rule that this line breaks is the log's, not the reader's.
    let Err(Error::BadLine { line: 4, why }) = world.import(&mended, &["--name", "fatal"]).await else {
        return Err("line 4 must end the import".into());
    };
    assert!(why.starts_with("data: ") && why.len() < 300, "{why}");
    assert_eq!(
        world.payloads().await?,
        [r#"{"n": 1.10}"#, r#"{"n":"mended"}"#, r#"{"n":2}"#]
    );

    let file = world.file("numbers.ndjson", &text)?;
    let summary = world
        .import(&file, &["--name", "skip", "--bad-lines", "skip"])
        .await?;
    assert_eq!(
        (
            summary.records,
            summary.events,
            summary.skipped,
            summary.exit_code()
        ),
        (5, 3, 2, 5)
    );
    assert_eq!(
        world.payloads().await?[3..],
        [r#"{"n": 1.10}"#, r#"{"n":2}"#, r#"{"n":3}"#]
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_adds_what_is_new_and_refuses_what_was_changed() -> Result {
    let world = World::new().await?;
    let file = world.file("numbers.csv", "id,n\n018f4e2a-0000-7000-8000-000000000001,1\n")?;
    let options = ["--id-from", "id", "--data-from", "n"];
    assert_eq!(world.import(&file, &options).await?.events, 1);
    let again = world.import(&file, &options).await?;
    assert_eq!((again.events, again.before), (0, 1));

    // The second row's id is in the log: the database refuses it, and the row after it is imported.
    let grown = "id,n\n018f4e2a-0000-7000-8000-000000000001,1\n018f4e2a-0000-7000-8000-000000000001,2\n\
                 018f4e2a-0000-7000-8000-000000000003,3\n";
    let file = world.file("numbers.csv", grown)?;
    let summary = world
        .import(&file, &[&options[..], &["--bad-lines", "skip"]].concat())
        .await?;
    assert_eq!((summary.before, summary.events, summary.skipped), (1, 1, 1));
    assert_eq!(world.payloads().await?, ["1", "3"]);

    let changed = world.file("numbers.csv", &grown.replace(",1\n", ",7\n"))?;
    assert!(matches!(
        world.import(&changed, &options).await,
        Err(Error::Refused(_))
    ));
    let file = world.file("numbers.csv", grown)?;
    assert!(matches!(
        world.import(&file, &["--data-from", "n"]).await,
        Err(Error::Refused(_))
    ));
    assert_eq!(world.payloads().await?, ["1", "3"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_runs_at_a_time_one_is_refused() -> Result {
    let world = World::new().await?;
    let file = world.file("numbers.ndjson", "1\n2\n")?;
    let plan = world.arguments(&file, &[])?.plan()?;
    let url = world.server.url("import");
    let (mut one, done) = Log::open(&url, &plan).await?;
    let (mut other, same) = Log::open(&url, &plan).await?;
    assert_eq!(done, same);
    let lines = tokio::task::block_in_place(|| -> Result<_> {
        let (reader, _) = input::open(Some(&file))?;
        let (sender, mut batches) = tokio::sync::mpsc::channel(1);
        batch::read(&plan, input::Records::new(reader, plan.format)?, &done, &sender)?;
        Ok(batches.try_recv()?)
    })?;
    assert_eq!(one.write(&done, &lines).await?.events, 2);
    assert!(matches!(other.write(&done, &lines).await, Err(Error::Refused(_))));
    assert_eq!(world.payloads().await?, ["1", "2"]);
    Ok(())
}
