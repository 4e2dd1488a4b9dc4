//! Progress for people, on standard error: a bar on a terminal, a line now and then elsewhere.

use std::io::IsTerminal;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::input::Meter;

const LINE_EVERY: Duration = Duration::from_secs(5);
const BAR: &str = "{bar:30} {percent:>3}%  {msg}  {bytes_per_sec}  {eta} left";
const SPINNER: &str = "{spinner} {bytes} read  {msg}";

/// Where the import is, as far as it is shown.
pub(super) struct Bar {
    bar: Option<ProgressBar>,
    meter: Meter,
    shown_at: Instant,
}

impl Bar {
    pub(super) fn new(meter: Meter) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let (bar, template) = match meter.total {
                Some(total) => (ProgressBar::new(total), BAR),
                None => (ProgressBar::new_spinner(), SPINNER),
            };
            // The template is a constant: it parses.
            bar.with_style(
                ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
            )
        });
        Self {
            bar,
            meter,
            shown_at: Instant::now(),
        }
    }

    pub(super) fn moved(&mut self, records: u64, events: u64) {
        let message = format!("{records} records, {events} events");
        match &self.bar {
            Some(bar) => {
                bar.set_position(self.meter.read.load(Ordering::Relaxed));
                bar.set_message(message);
            }
            None if self.shown_at.elapsed() >= LINE_EVERY => {
                self.shown_at = Instant::now();
                eprintln!("imported {message}");
            }
            None => {}
        }
    }

    /// A line above the bar.
    pub(super) fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| eprintln!("{text}")),
            None => eprintln!("{text}"),
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
