//! One import, from its options to its summary.

use std::fmt;

use tokio::sync::mpsc;

use super::Error;
use super::arguments::Arguments;
use super::bar::Bar;
use super::batch;
use super::input::{self, Records};
use super::pg::{Landed, Log};

/// Batches that are read ahead: one is being written, one is ready.
const READ_AHEAD: usize = 1;
const SOME_SKIPPED: u8 = 5;

/// What a run did.
#[derive(Debug, Default)]
pub struct Summary {
    /// What the import is called.
    pub name: String,
    /// Records that earlier runs had done.
    pub before: u64,
    /// Records of this run.
    pub records: u64,
    /// Events of this run.
    pub events: u64,
    /// Lines of this run that were skipped.
    pub skipped: u64,
}

impl Summary {
    /// 0, or 5 when lines were skipped.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        if self.skipped > 0 { SOME_SKIPPED } else { 0 }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} events from {} records",
            self.name, self.events, self.records
        )?;
        if self.before > 0 {
            write!(f, ", after {} records that were imported before", self.before)?;
        }
        if self.skipped > 0 {
            write!(f, "; {} bad lines skipped", self.skipped)?;
        }
        Ok(())
    }
}

/// Imports what is not imported yet.
///
/// # Errors
/// Why it ended early. What is before that point is imported.
pub async fn run(arguments: Arguments) -> Result<Summary, Error> {
    let plan = arguments.plan()?;
    let (reader, meter) = input::open(plan.file.as_deref())?;
    let (mut log, mut done) = Log::open(&arguments.database_url, &plan).await?;
    let mut summary = Summary {
        name: plan.name.clone(),
        before: done.records,
        ..Summary::default()
    };
    let mut bar = Bar::new(meter);
    let (sender, mut batches) = mpsc::channel(READ_AHEAD);
    let begin = done.clone();
    // Not a task of the runtime: nothing could stop a read from standard input, and the runtime would wait for it.
    let reading =
        std::thread::spawn(move || batch::read(&plan, Records::new(reader, plan.format)?, &begin, &sender));
    while let Some(lines) = batches.recv().await {
        let landed = log.write(&done, &lines).await?;
        if let Some(last) = lines.iter().take(landed.records as usize).next_back() {
            done = last.after.clone();
        }
        add(&mut summary, &landed, &bar);
        bar.moved(summary.records, summary.events);
        if let (true, Some((line, why))) = (landed.ends, landed.bad.into_iter().next_back()) {
            return Err(Error::BadLine { line, why });
        }
    }
    // The channel ended, so the thread is about to; a panic in it goes on here.
    match reading.join() {
        Ok(read) => read?,
        Err(panic) => std::panic::resume_unwind(panic),
    }
    log.close().await?;
    Ok(summary)
}

fn add(summary: &mut Summary, landed: &Landed, bar: &Bar) {
    summary.records += landed.records;
    summary.events += landed.events;
    let skipped = &landed.bad[..landed.bad.len() - usize::from(landed.ends)];
    summary.skipped += skipped.len() as u64;
    for (line, why) in skipped {
        bar.say(&format!("line {line} skipped: {why}"));
    }
}
