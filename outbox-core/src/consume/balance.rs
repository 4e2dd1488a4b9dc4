//! Pure: which member of a group applies which stream.
//!
//! Every member looks at the same rows and decides for itself what to take and what to give back; nobody leads. A stream that
//! is free is for the member that has the least; when nothing is free, the member that has the most gives one back, if
//! another has at least two less. So all end with an equal number, one more or less; each step is one stream; and a stream
//! that need not move never does.
//!
//! A member with a static assignment takes part in none of this: the partitions it names are its own while it lives.

use std::collections::BTreeMap;

use super::stream::Stream;

/// A member that was seen lately.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) name: String,
    /// What it has handlers for.
    pub(super) topics: Vec<String>,
    /// Its static assignment.
    pub(super) partitions: Option<Vec<u32>>,
}

/// A stream that this member knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) stream: Stream,
    /// Who applies it; none when it is free.
    pub(super) holder: Option<String>,
    /// It has been free for so long that whoever it was for does not take it.
    pub(super) is_left: bool,
}

/// What everybody sees.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    pub(super) members: Vec<Member>,
    pub(super) places: Vec<Place>,
    /// How many streams each has, those included that this member does not know.
    pub(super) loads: BTreeMap<String, usize>,
}

/// What one member does next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Step {
    /// Streams to take: they are free.
    pub(super) take: Vec<String>,
    /// Those of them that were another member's to take.
    pub(super) left: Vec<String>,
    /// The stream to finish and give back.
    pub(super) give: Option<String>,
    /// Streams that no member may take, by topic or static assignment.
    pub(super) unassigned: Vec<String>,
    /// Whether somebody is about to take or to give.
    pub(super) is_moving: bool,
}

impl State {
    /// What the member `me` does.
    pub(super) fn step(&self, me: &str) -> Step {
        let mut step = Step::default();
        let mut loads = self.loads.clone();
        for place in self.places.iter().filter(|place| place.holder.is_none()) {
            let key = &place.stream.key;
            let candidates: Vec<&Member> = self.candidates(&place.stream).collect();
            let is_mine = |member: &&Member| member.name == me;
            let Some(next) = candidates.iter().min_by_key(|member| Self::rank(member, &loads)) else {
                step.unassigned.push(key.clone());
                continue;
            };
            step.is_moving = true;
            *loads.entry(next.name.clone()).or_default() += 1;
            let may_i = candidates.iter().any(is_mine);
            if is_mine(next) || (next.partitions.is_some() && may_i) {
                step.take.push(key.clone());
            } else if place.is_left && may_i {
                step.take.push(key.clone());
                step.left.push(key.clone());
            }
        }
        if !step.is_moving
            && let Some((giver, stream)) = self.move_of_all()
        {
            step.is_moving = true;
            step.give = (giver == me).then(|| stream.key.clone());
        }
        step
    }

    /// Who may apply a stream: the members that name its partition, or else those without a static assignment.
    fn candidates(&self, stream: &Stream) -> impl Iterator<Item = &Member> {
        let reads = |member: &&Member| member.topics.contains(&stream.topic);
        let names = |member: &Member| {
            let named = member.partitions.as_deref();
            named.is_some_and(|named| named.contains(&stream.number()))
        };
        let is_named = self.members.iter().filter(reads).any(names);
        let may = move |member: &&Member| match is_named {
            true => names(member),
            false => member.partitions.is_none(),
        };
        self.members.iter().filter(reads).filter(may)
    }

    /// The next move of the whole group, when nothing is free: who gives which stream back.
    fn move_of_all(&self) -> Option<(&str, &Stream)> {
        let held = || {
            let held = self
                .places
                .iter()
                .filter_map(|place| Some((place.holder.as_deref()?, &place.stream)));
            held.filter(|(holder, _)| self.members.iter().any(|member| member.name == *holder))
        };
        // What is another's by static assignment goes first.
        let misplaced = held().find(|(holder, stream)| {
            let mut candidates = self.candidates(stream).peekable();
            candidates.peek().is_some() && candidates.all(|member| member.name != *holder)
        });
        if misplaced.is_some() {
            return misplaced;
        }
        let is_uneven = |(holder, stream): &(&str, &Stream)| {
            let has_room = |member: &Member| {
                member.partitions.is_none() && self.load(&member.name) + 2 <= self.load(holder)
            };
            self.candidates(stream).any(has_room)
        };
        held().filter(is_uneven).max_by_key(|(holder, stream)| {
            (
                self.load(holder),
                *holder,
                self.of_topic(holder, stream),
                &stream.key,
            )
        })
    }

    /// How many streams of this one's topic the holder has: who gives, gives from where it has most.
    fn of_topic(&self, holder: &str, stream: &Stream) -> usize {
        let is_alike =
            |place: &&Place| place.holder.as_deref() == Some(holder) && place.stream.topic == stream.topic;
        self.places.iter().filter(is_alike).count()
    }

    fn load(&self, member: &str) -> usize {
        self.loads.get(member).copied().unwrap_or_default()
    }

    fn rank<'m>(member: &'m Member, loads: &BTreeMap<String, usize>) -> (usize, &'m str) {
        (loads.get(&member.name).copied().unwrap_or_default(), &member.name)
    }
}

#[cfg(test)]
mod tests;
