//! The tutorial, as it is written: its commands are run in their order, and print what it says.

use std::path::Path;
use std::process::{Command, Stdio};

use system_tests::relay::binary;
use system_tests::{Failure, Result, Schema, World};
use xtask::servers::{Kind, Postgres, Redis, find};

const PAGE: &str = include_str!("../../../docs/tutorial-redrive.md");
/// What a person would take minutes for.
const LIMIT_SECONDS: &str = "75";
/// Stands before what each block of commands prints.
const MARK: &str = "=== block ";

/// Commands of the page, and what it says they print.
struct Block {
    commands: String,
    printed: Vec<String>,
}

/// The blocks of commands, each with the text that follows it.
fn blocks(page: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut language = None;
    for line in page.lines() {
        match (language, line.strip_prefix("```")) {
            (None, Some("sh")) => {
                language = Some("sh");
                blocks.push(Block {
                    commands: String::new(),
                    printed: Vec::new(),
                });
            }
            (None, Some(_)) => language = Some("text"),
            (Some(_), Some(_)) => language = None,
            (Some("sh"), None) => blocks.iter_mut().last().into_iter().for_each(|block| {
                block.commands.push_str(line);
                block.commands.push('\n');
            }),
            (Some(_), None) => blocks
                .iter_mut()
                .last()
                .into_iter()
                .for_each(|block| block.printed.push(line.to_owned())),
            (None, None) => {}
        }
    }
    blocks
}

/// Whether a line is what the page says: `…` stands for anything, and spaces only separate.
fn is_as_said(line: &str, said: &str) -> bool {
    let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (line, said) = (plain(line), plain(said));
    let mut parts = said.split('…').map(str::trim);
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = line.strip_prefix(first) else {
        return false;
    };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}

/// Runs the blocks in one shell with these servers; what each printed.
fn run(blocks: &[Block], world: &World, database_url: &str, folder: &Path) -> Result<Vec<String>> {
    let relay = binary()?;
    let postgres = find(Kind::Postgres).ok_or_else(|| Failure::new("there is no Postgres"))?;
    let folders = [relay.parent(), postgres.parent()].into_iter().flatten();
    let path = std::env::var("PATH").unwrap_or_default();
    let path: Vec<String> = folders
        .map(|folder| folder.display().to_string())
        .chain([path])
        .collect();
    let mut script = "exec 2>&1; trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n".to_owned();
    for (number, block) in blocks.iter().enumerate() {
        script.push_str(&format!("echo '{MARK}{number}'\n{}", block.commands));
    }
    let ended = Command::new("timeout")
        .args([
            "--kill-after=5",
            LIMIT_SECONDS,
            "bash",
            "-euo",
            "pipefail",
            "-c",
            &script,
        ])
        .current_dir(folder)
        .env("PATH", path.join(":"))
        .env("DATABASE_URL", database_url)
        .env("REDIS_URL", world.redis_url())
        .stdin(Stdio::null())
        .output()?;
    let printed = String::from_utf8_lossy(&ended.stdout).into_owned();
    if !ended.status.success() {
        let log = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap_or_default();
        return Err(Failure::new(format!(
            "the tutorial ended with {}:\n{printed}\n--- relay\n{}\n--- consumer\n{}",
            ended.status,
            log("relay.log"),
            log("stock.log")
        )));
    }
    Ok(printed.split(MARK).skip(1).map(str::to_owned).collect())
}

#[tokio::test]
async fn the_tutorial_works_as_it_is_written() -> Result {
    // GIVEN the page, servers of its own and an empty database
    let blocks = blocks(PAGE);
    assert!(
        blocks.len() >= 10,
        "the page has another form: {} blocks",
        blocks.len()
    );
    let world = World::with_own_servers(Postgres::options(), Redis::options()).await?;
    // A tutorial is gone through as superuser of a server of one's own.
    let world = world.superusers_are_meant();
    let database = world.another_database(Schema::Empty).await?;
    let folder = tempfile::tempdir()?;
    // WHEN its commands are run in their order
    let printed = run(&blocks, &world, database.url(), folder.path())?;
    // THEN each block prints the lines that the page says, in that order
    let mut compared = 0;
    for (number, (block, printed)) in blocks.iter().zip(&printed).enumerate() {
        let mut lines = printed.lines();
        for said in block.printed.iter().filter(|said| !said.is_empty()) {
            assert!(
                lines.any(|line| is_as_said(line, said)),
                "block {number} does not print {said:?} where the page says so, but:\n{printed}"
            );
            compared += 1;
        }
    }
    assert!(compared > 25, "only {compared} lines were compared");
    Ok(())
}

#[test]
fn a_line_is_compared_whole_but_for_what_the_page_leaves_open() {
    for (line, said, expected) in [
        ("a  b", "a b", true),
        ("a b c", "a b", false),
        ("dead since 1 to 2", "dead since … to …", true),
        ("dead since 1", "dead since … to …", false),
        ("key   ada", "key …", true),
        ("{\"id\":1,\"data\":2}", "{\"id\":…\"data\":2}", true),
        ("x {\"id\":1}", "{\"id\":…}", false),
    ] {
        assert_eq!(is_as_said(line, said), expected, "{line} / {said}");
    }
}
