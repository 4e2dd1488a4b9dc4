//! What is going on, for people, on standard error: a line for each scene, and a bar on a terminal.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

const BAR: &str = "          {bar:30} {percent:>3}%  {msg}  {pos} of {len}  {per_sec}  {eta} left";
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Where the program says what it does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Board {
    begun: Instant,
}

impl Board {
    pub(super) fn new() -> Self {
        Self {
            begun: Instant::now(),
        }
    }

    /// One line, with the time.
    pub(super) fn say(&self, text: &str) {
        eprintln!("{:>6.1} s  {text}", self.begun.elapsed().as_secs_f64());
    }

    pub(super) fn begun(&self) -> Instant {
        self.begun
    }

    /// Progress of something with an end.
    pub(super) fn bar(&self, what: &'static str, total: u64) -> Bar {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template(BAR).unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(total).with_style(style).with_message(what)
        });
        Bar {
            board: *self,
            bar,
            what,
            total,
            done: 0,
            shown_at: Instant::now(),
        }
    }
}

/// Something under way.
pub(super) struct Bar {
    board: Board,
    bar: Option<ProgressBar>,
    what: &'static str,
    total: u64,
    done: u64,
    shown_at: Instant,
}

impl Bar {
    pub(super) fn reached(&mut self, done: u64) {
        self.done = done;
        match &self.bar {
            Some(bar) => bar.set_position(done),
            None if self.shown_at.elapsed() >= LINE_EVERY => {
                self.shown_at = Instant::now();
                self.board
                    .say(&format!("{}: {} of {}", self.what, self.done, self.total));
            }
            None => {}
        }
    }

    pub(super) fn add(&mut self, more: u64) {
        self.reached(self.done + more);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
