//! Shows on standard error how a rebuild goes, until it is at rest or a signal comes; the rebuild goes on regardless.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use sqlx::PgConnection;
use tokio::time::Instant;

use super::progress::{Progress, Rest};
use super::{Row, read};
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::signal;

/// How often it is looked: those who build look at what people order twice a second.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// Standing still for longer is worth a word, once.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) async fn follow(
    config: &Config,
    connection: &mut PgConnection,
    name: &str,
    number: i64,
) -> Result<(Row, Exit), Failure> {
    let stop = signal::stop_token()?;
    let mut bar = Bar::new();
    let mut last = None;
    let mut moved = Some(Instant::now());
    loop {
        let row = read(config, connection, name).await?;
        let progress = Progress::of(&row);
        if last.as_ref() != Some(&progress) {
            bar.show(&progress.line(name));
            moved = Some(Instant::now());
        } else if moved.is_some_and(|at| at.elapsed() > PATIENCE) {
            bar.say(&format!(
                "nothing moved for {} s; does a process run projection {name}, and is it not paused?",
                PATIENCE.as_secs()
            ));
            moved = None;
        }
        if let Some(rest) = progress.rest(number) {
            bar.end();
            if rest == Rest::Held {
                eprintln!(
                    "it is held; mend what is named and outbox-relay projection release {name} --reason …, or projection cancel {name}"
                );
            }
            return Ok((row, rest.exit()));
        }
        last = Some(progress);
        tokio::select! {
            () = tokio::time::sleep(LOOK_AGAIN) => {}
            () = stop.cancelled() => {
                bar.end();
                eprintln!(
                    "the rebuild goes on without this command; outbox-relay projection cancel {name} --reason … ends it, \
                     projection show {name} --watch looks again"
                );
                return Ok((row, Exit::Partial));
            }
        }
    }
}

/// One line that is written over on a terminal, and one line for each change elsewhere.
struct Bar {
    is_terminal: bool,
    is_open: bool,
}

impl Bar {
    fn new() -> Self {
        Self {
            is_terminal: std::io::stderr().is_terminal(),
            is_open: false,
        }
    }

    /// A terminal that is gone does not end the watching.
    fn show(&mut self, line: &str) {
        let mut stderr = std::io::stderr().lock();
        drop(match self.is_terminal {
            true => write!(stderr, "\r\x1b[K{line}").and_then(|()| stderr.flush()),
            false => writeln!(stderr, "{line}"),
        });
        self.is_open = self.is_terminal;
    }

    fn say(&mut self, text: &str) {
        self.end();
        eprintln!("{text}");
    }

    fn end(&mut self) {
        if std::mem::take(&mut self.is_open) {
            eprintln!();
        }
    }
}
