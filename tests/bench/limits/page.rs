//! The page, its pictures, and the same for programs.

use std::path::Path;

use serde_json::json;
use system_tests::Result;

use super::assumed::Assumed;
use super::chart::{Axes, chart};
use super::ends::End;
use super::known::Known;
use super::layout::{FULL, Layout};
use super::simulation::{Delays, Pattern};
use super::study::{Scenario, Study};
use super::{prose, tables};

/// All that the page tells.
pub(super) struct Page {
    pub(super) known: Known,
    pub(super) assumed: Assumed,
    pub(super) ends: Vec<End>,
    pub(super) study: Study,
}

impl Page {
    /// All of it in words.
    pub(super) fn markdown(&self) -> String {
        let Self {
            known,
            assumed,
            ends,
            study,
        } = self;
        let mut all = known.all();
        all.extend(assumed.all());
        let sections = [
            prose::HEAD.to_owned(),
            tables::machines(&known.machines),
            "## What it is computed from\n".to_owned(),
            tables::quantities(&all),
            "## Where one of each ends\n\nEach part with what it takes for itself, on cores of its own; what was measured had all of them on the same cores.\n".to_owned(),
            tables::ends(ends),
            tables::rates(ends),
            prose::STREAMS.to_owned(),
            self.while_little_comes(),
            prose::MORE.to_owned(),
            prose::MODEL.to_owned(),
            format!(
                "{} events a second for a minute, over {}: as many as it takes for each part to be at most {:.0} % full. A stall begins after 20 seconds.\n",
                tables::grouped(study.rate),
                tables::layout(&study.layout),
                FULL * 100.0
            ),
            tables::scenarios(study, assumed.event_bytes.value),
            "![What waits around a stall](limits-stall.svg)\n".to_owned(),
            "The fewest that keep the slowest hundredth within a bound; databases are looked for first (half of the bound may be used up until the stream), then Redis (three quarters), then streams:\n".to_owned(),
            tables::fewest(&study.fewest),
            "How late events are on their stream by the load of one relay, as a part of what one relay can do:\n\n![Delay by load](limits-load.svg)\n\nThe same as [JSON](limits.json).\n".to_owned(),
        ];
        sections.join("\n")
    }

    /// What a million events cost at a low rate, beside a backlog.
    fn while_little_comes(&self) -> String {
        let sum: f64 = self.known.through.iter().map(|part| part.value).sum();
        let behind = self.known.relay.value + self.known.postgres.value + self.known.redis.value;
        format!(
            "While little comes batches are small and an event costs more: at 5,000/s a million events take {sum:.0} s of CPU from append to effect, of relay, Postgres, \
             Redis and consumer; a backlog takes relay, the relay's session and Redis {behind:.0} s. So what is used at a low rate says little of where the end is.\n"
        )
    }

    fn stall_picture(&self) -> String {
        let looks = |scenario: &Scenario| {
            let waits = scenario
                .outcome
                .looks
                .iter()
                .map(|look| (look.at, (look.unpublished + look.unapplied) as f64));
            waits.collect()
        };
        let stalled = self
            .study
            .scenarios
            .iter()
            .filter(|scenario| scenario.stall.is_some());
        let series: Vec<_> = stalled
            .map(|scenario| (scenario.title.replace("Poisson, ", ""), looks(scenario)))
            .collect();
        let axes = Axes {
            title: "Committed, and without effect, around a stall after 20 seconds",
            across: "seconds",
            up: "events, all databases",
            is_logarithmic: false,
        };
        chart(axes, &series)
    }

    fn load_picture(&self) -> String {
        let names = ["p50, Poisson", "p99, Poisson", "p99, in bursts"];
        let of = |place: usize| {
            self.study
                .curve
                .iter()
                .map(move |point| (point.load * 100.0, point.delays[place] * 1e3))
                .collect()
        };
        let series: Vec<_> = (0..)
            .zip(names)
            .map(|(place, name)| (name.to_owned(), of(place)))
            .collect();
        let axes = Axes {
            title: "From an event's coming to its entry, by the load of one relay",
            across: "load, % of what one relay can do",
            up: "ms",
            is_logarithmic: true,
        };
        chart(axes, &series)
    }

    fn json(&self) -> serde_json::Value {
        let layout = |layout: &Layout| json!({"databases": layout.databases, "redis": layout.nodes, "streams_of_each": layout.streams});
        let scenario = |scenario: &Scenario| {
            let outcome = &scenario.outcome;
            let of = |delays: &Delays| json!({"p50": delays.at(0.5), "p99": delays.at(0.99), "mean": delays.mean(), "most": delays.most(), "events": delays.count()});
            json!({"what": scenario.title, "published": of(&outcome.published), "applied": of(&outcome.applied), "applied_hit": of(&outcome.applied_hit),
                   "most_unpublished": outcome.most_unpublished(), "recovered_after": scenario.stall.and_then(|stall| outcome.recovered_after(&stall))})
        };
        let study = &self.study;
        json!({
            "name": "limits",
            "quantities": self.known.all().into_iter().chain(self.assumed.all())
                .map(|one| json!({"what": one.what, "unit": one.unit, "value": one.value, "from": one.source.told()})).collect::<Vec<_>>(),
            "ends": self.ends.iter().map(|end| json!({"of": end.of, "events_per_second": end.at})).collect::<Vec<_>>(),
            "rate": study.rate,
            "layout": layout(&study.layout),
            "scenarios": study.scenarios.iter().map(scenario).collect::<Vec<_>>(),
            "fewest": study.fewest.iter().map(|one| json!({"in_bursts": one.pattern != Pattern::Poisson, "bound": one.bound, "layout": one.layout.as_ref().map(layout)})).collect::<Vec<_>>(),
            "curve": study.curve.iter().map(|point| json!({"load": point.load, "p50_p99_p99_in_bursts": point.delays})).collect::<Vec<_>>(),
        })
    }

    /// Writes it into a folder, with pictures and JSON.
    pub(super) fn write(&self, folder: &Path, text: &str) -> Result {
        std::fs::create_dir_all(folder)?;
        std::fs::write(folder.join("limits.md"), text)?;
        std::fs::write(
            folder.join("limits.json"),
            serde_json::to_string_pretty(&self.json())? + "\n",
        )?;
        std::fs::write(folder.join("limits-stall.svg"), self.stall_picture())?;
        std::fs::write(folder.join("limits-load.svg"), self.load_picture())?;
        println!("Written: {}", folder.join("limits.md").display());
        Ok(())
    }
}
