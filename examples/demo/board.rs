//! The counters on the screen: a block that is written over on a terminal, a line every few seconds elsewhere.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tokio::sync::watch;
use tokio::time::{Instant, interval};

use super::report::grouped;
use super::sample::Sample;

const PAINT_EVERY: Duration = Duration::from_millis(500);
const LINE_EVERY: Duration = Duration::from_secs(5);
const LINES: usize = 4;

/// Where the demo says what it does.
#[derive(Clone, Debug)]
pub(super) struct Board {
    begun: Instant,
    screen: Option<(MultiProgress, Vec<ProgressBar>)>,
}

impl Board {
    pub(super) fn new(begun: Instant) -> Self {
        let screen = std::io::stderr().is_terminal().then(|| {
            let screen = MultiProgress::new();
            let style =
                ProgressStyle::with_template("  {wide_msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
            let line = |_| screen.add(ProgressBar::new_spinner().with_style(style.clone()));
            let lines = (0..LINES).map(line).collect();
            (screen, lines)
        });
        Self { begun, screen }
    }

    /// One line, with the time, that stays.
    pub(super) fn say(&self, text: &str) {
        let line = format!("{:>6.1} s  {text}", self.begun.elapsed().as_secs_f64());
        match &self.screen {
            Some((screen, _)) => screen.suspend(|| eprintln!("{line}")),
            None => eprintln!("{line}"),
        }
    }

    /// Shows the samples until it is dropped.
    pub(super) async fn paint(self, samples: watch::Receiver<Sample>) {
        let mut ticks = interval(if self.screen.is_some() {
            PAINT_EVERY
        } else {
            LINE_EVERY
        });
        // The first tick is at once, when there is nothing to show.
        ticks.tick().await;
        loop {
            ticks.tick().await;
            let lines = lines(&samples.borrow());
            match &self.screen {
                Some((_, bars)) => bars
                    .iter()
                    .zip(lines)
                    .for_each(|(bar, line)| bar.set_message(line)),
                None => self.say(&lines.join("; ")),
            }
        }
    }

    /// Takes the block from the screen.
    pub(super) fn clear(&self) {
        if let Some((screen, bars)) = &self.screen {
            bars.iter().for_each(ProgressBar::finish_and_clear);
            screen.clear().ok();
        }
    }
}

/// The block. Pure.
fn lines(sample: &Sample) -> [String; LINES] {
    let number = |number: Option<u64>| number.map_or_else(|| "?".to_owned(), grouped);
    let lag = match &sample.summary {
        Some(summary) => {
            let age = summary
                .oldest_age
                .map(|age| format!(", the oldest {:.1} s old", age.as_secs_f64()));
            format!("lag {} events{}", summary.backlog, age.unwrap_or_default())
        }
        None => "lag ?".to_owned(),
    };
    let epoch = sample.summary.as_ref().map_or(0, |summary| summary.epoch);
    [
        format!(
            "committed {} ({} by plain SQL)   rolled back {}   held open {}, now {}{}",
            grouped(sample.committed),
            grouped(sample.at_the_till),
            grouped(sample.rolled_back),
            sample.held,
            sample.held_now,
            if sample.failed > 0 {
                format!("   FAILED {}", sample.failed)
            } else {
                String::new()
            }
        ),
        match sample.published {
            Some(published) => format!("published {}   {lag}", grouped(published)),
            None => format!("published ? (Redis does not answer)   {lag}"),
        },
        format!(
            "applied   stock {}   loyalty {}",
            number(sample.in_stock),
            number(sample.in_loyalty)
        ),
        match &sample.leader {
            Some(leader) => format!("leading   {leader}, epoch {epoch}"),
            None => "leading   nobody".to_owned(),
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::pg::Summary;

    #[test]
    fn what_does_not_answer_is_said() {
        let [_, published, applied, leading] = lines(&Sample::default());
        assert!(published.contains("Redis does not answer"), "{published}");
        assert!(applied.contains("stock ?"), "{applied}");
        assert!(leading.contains("nobody"), "{leading}");
    }

    #[test]
    fn the_lag_has_events_and_seconds() {
        let summary = Summary {
            backlog: 12,
            oldest_age: Some(Duration::from_millis(1_250)),
            epoch: 3,
            leader: Some(7),
        };
        let sample = Sample {
            published: Some(12_345),
            summary: Some(summary),
            ..Sample::default()
        };
        let [_, published, ..] = lines(&sample);
        assert!(
            published.contains("12,345") && published.contains("lag 12 events, the oldest 1.2 s old"),
            "{published}"
        );
    }
}
