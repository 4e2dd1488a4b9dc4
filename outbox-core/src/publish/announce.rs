//! Tells consumers how many partitions each topic has: at every new connection, before anything of a new generation leaves, and
//! again when the sink lost it.

use std::collections::BTreeSet;

use super::lane::Gate;
use super::leader::Leader;
use super::owner::{Owner, not_ours, owner, told_streams};
use super::sink::{Announced, Announcing, Halt, SinkConnection, announcing};
use super::{Error, Kind, pg};
use crate::tail::StreamId;
use crate::tail::layout::{Laid, Layout};
use crate::tail::ledger::Refusal;

impl Leader {
    /// A topic has more partitions from here on: nothing of it leaves before the sink says so.
    pub(super) fn lay(&mut self, laid: &Laid) {
        let layout = self.layouts.entry(laid.topic.clone()).or_default();
        layout.grow(laid.generation.clone());
        self.openings.look(&laid.topic, layout, &self.lanes);
        self.unannounced.insert(laid.topic.clone());
    }

    /// Looks where the sink tells of more partitions than this ledger laid.
    pub(super) async fn check_layouts(&mut self, sink: &dyn SinkConnection) -> Result<(), Error> {
        // A topic that another database publishes is set aside, and its layout is that one's.
        let topics: BTreeSet<String> = self
            .lanes
            .values()
            .filter(|lane| lane.gate != Gate::SetAside)
            .map(|lane| lane.stream.topic.clone())
            .collect();
        let keys: Vec<String> = topics
            .iter()
            .map(|topic| self.publisher.names.layout(topic))
            .collect();
        let found = sink.layouts(&keys).await?;
        for (topic, found) in topics.into_iter().zip(found) {
            if let Some(found) = found {
                self.check_layout(sink, &topic, &found).await?;
            }
        }
        Ok(())
    }

    /// Refuses where the sink tells of more partitions of this topic than this ledger laid, and the topic is ours: it grew in a time
    /// that the database has lost, has one stream here, and consumers that wait for others. A topic that is not ours is set aside.
    pub(super) async fn check_layout(
        &mut self,
        sink: &dyn SinkConnection,
        topic: &str,
        found: &str,
    ) -> Result<(), Error> {
        let is_newer = |ours: Option<&Layout>| {
            let ours = ours.map(ToString::to_string);
            announcing(Some(found), ours.as_deref()) == Announcing::Newer
        };
        if !is_newer(self.layouts.get(topic)) {
            return Ok(());
        }
        // A leader that took over while this one was stopped may have laid more.
        let laid = pg::load_layouts(&self.session).await?;
        if !is_newer(laid.get(topic)) {
            return Ok(());
        }
        let marks: Vec<String> = told_streams(topic, found)
            .iter()
            .map(|stream| self.publisher.names.mark(stream))
            .collect();
        let key = self.publisher.names.layout(topic);
        match owner(&sink.marks(&marks).await?, &self.publisher.database_id) {
            Owner::Ours => Err(Refusal::LayoutAhead {
                key,
                found: found.to_owned(),
                ours: laid.get(topic).map(ToString::to_string),
            }
            .into()),
            Owner::NotOurs => {
                let why = not_ours(&key, found);
                for stream in self.streams_of(topic) {
                    if self
                        .lanes
                        .get(&stream)
                        .is_some_and(|lane| lane.gate != Gate::SetAside)
                    {
                        self.halt(&stream, Halt::Rejected(why.clone())).await?;
                    }
                }
                Ok(())
            }
            Owner::Unsaid(why) => {
                for stream in self.streams_of(topic) {
                    self.block_open(&stream, &why).await?;
                    // It is asked again before anything leaves.
                    if let Some(lane) = self.lanes.get_mut(&stream) {
                        lane.vetted = false;
                    }
                }
                Ok(())
            }
        }
    }

    /// A stream that was not known when the connection was made is vetted: its topic may have partitions of another database.
    pub(super) async fn vet_layout(&mut self, stream: &StreamId, found: Option<String>) -> Result<(), Error> {
        let (Some(found), Some(link)) = (found, self.link.clone()) else {
            return Ok(());
        };
        if self.lanes.get(stream).is_none_or(|lane| lane.gate != Gate::Open) {
            return Ok(());
        }
        match self.check_layout(link.sink.as_ref(), &stream.topic, &found).await {
            Err(error) if matches!(error.kind(), Kind::SinkDown | Kind::SinkUnfit) => {
                self.sink_failed(&error);
                Ok(())
            }
            checked => checked,
        }
    }

    fn streams_of(&self, topic: &str) -> Vec<StreamId> {
        self.lanes
            .range(StreamId::whole(topic)..)
            .map(|(stream, _)| stream)
            .take_while(|stream| stream.topic == topic)
            .cloned()
            .collect()
    }

    /// Compares what the sink says about every topic with partitions, and completes it.
    pub(super) async fn announce_layouts(&mut self, sink: &dyn SinkConnection) -> Result<(), Error> {
        if self.layouts.is_empty() {
            return Ok(());
        }
        let (topics, layouts): (Vec<String>, Vec<(String, String)>) = self
            .layouts
            .iter()
            .map(|(topic, layout)| {
                (
                    topic.clone(),
                    (self.publisher.names.layout(topic), layout.to_string()),
                )
            })
            .unzip();
        let answers = sink.announce(&layouts).await?;
        for ((topic, (_, layout)), answer) in topics.into_iter().zip(&layouts).zip(answers) {
            let streams = self.streams_of(&topic);
            match answer {
                Announced::Known => self.is_announced(&topic, layout),
                Announced::Refused(why) => {
                    self.unannounced.insert(topic);
                    for stream in streams {
                        self.block_open(&stream, &why).await?;
                    }
                }
            }
        }
        Ok(())
    }

    /// The schedule: a sink that lost what it was told, without disconnecting anyone, is told again.
    pub(super) async fn compare_layouts(&mut self) -> Result<(), Error> {
        let Some(link) = self.link.clone() else {
            return Ok(());
        };
        let compared = match self.check_layouts(link.sink.as_ref()).await {
            Ok(()) => self.announce_layouts(link.sink.as_ref()).await,
            refused => refused,
        };
        match compared {
            Err(error) if matches!(error.kind(), Kind::SinkDown | Kind::SinkUnfit) => {
                self.sink_failed(&error);
                Ok(())
            }
            compared => compared,
        }
    }

    /// What the sink said about the layout that the topic of `stream` had when it was asked.
    pub(super) async fn settle_layout(
        &mut self,
        stream: &StreamId,
        layout: &str,
        answer: Announced,
    ) -> Result<(), Error> {
        match answer {
            Announced::Known => {
                self.is_announced(&stream.topic, layout);
                Ok(())
            }
            Announced::Refused(why) => self.block_open(stream, &why).await,
        }
    }

    fn is_announced(&mut self, topic: &str, layout: &str) {
        if self
            .layouts
            .get(topic)
            .is_some_and(|ours| ours.to_string() == layout)
        {
            self.unannounced.remove(topic);
        }
    }

    async fn block_open(&mut self, stream: &StreamId, why: &str) -> Result<(), Error> {
        if self.lanes.get(stream).is_some_and(|lane| lane.gate == Gate::Open) {
            self.halt(stream, Halt::Blocked(why.to_owned())).await?;
        }
        Ok(())
    }
}
