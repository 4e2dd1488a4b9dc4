//! Explores every state of a protocol, breadth first, and says what is broken by the shortest trace.
//!
//! A state is remembered by a fingerprint of 64 bits: at ten million states two of them fall together with a chance of three
//! in a million, and then a part of the space is not seen. Safety is a question to each state. Liveness is *can always
//! finish*: from every reachable state there is a continuation without faults to a state where all work is done. In a finite
//! space that is: under strong fairness, once faults stop, everything is done in the end.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use crate::step::{Next, Step};

/// A protocol with all that may happen to it.
pub trait Protocol {
    /// Everything that somebody remembers.
    type State: Clone + Eq + Hash;

    /// Where it begins.
    fn start(&self) -> Self::State;

    /// All that can happen next.
    fn next(&self, state: &Self::State, next: &mut Next<Self::State>);

    /// Which properties a state breaks.
    fn broken(&self, state: &Self::State) -> Vec<&'static str>;

    /// Whether all work is done.
    fn is_done(&self, state: &Self::State) -> bool;
}

/// Those of these properties that are broken.
pub(crate) fn those(properties: &[(bool, &'static str)]) -> Vec<&'static str> {
    let broken = properties.iter().filter(|(is_broken, _)| *is_broken);
    broken.map(|(_, property)| *property).collect()
}

/// The property that no state breaks, but a set of states from which there is no end.
pub const LIVENESS: &str = "can always finish";

/// What an exploration found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Every state was seen, and none breaks anything.
    Holds,
    /// A property is broken, at the end of this trace. No trace is shorter.
    Broken {
        /// Which.
        property: &'static str,
        /// How.
        trace: Vec<Step>,
    },
    /// There are more states than the bound.
    Unfinished,
}

/// What an exploration was.
#[derive(Clone, Debug)]
pub struct Report {
    /// What it found.
    pub finding: Finding,
    /// States seen.
    pub states: usize,
    /// Steps tried.
    pub steps: usize,
    /// Length of the longest of the shortest traces.
    pub depth: usize,
    /// How long it took.
    pub took: Duration,
    /// What was done.
    pub seen: BTreeSet<&'static str>,
}

struct Space {
    index: HashMap<u64, u32>,
    parents: Vec<u32>,
    depths: Vec<u16>,
    quiet: Vec<(u32, u32)>,
    done: Vec<u32>,
    steps: usize,
    seen: Vec<&'static str>,
}

/// The fingerprint of a state.
pub fn fingerprint<S: Hash>(state: &S) -> u64 {
    let mut hasher = DefaultHasher::new();
    state.hash(&mut hasher);
    hasher.finish()
}

impl Space {
    fn new() -> Self {
        Self {
            index: HashMap::new(),
            parents: Vec::new(),
            depths: Vec::new(),
            quiet: Vec::new(),
            done: Vec::new(),
            steps: 0,
            seen: Vec::new(),
        }
    }

    /// The number of a state, and whether it is new.
    fn enter(&mut self, fingerprint: u64, parent: u32, depth: u16) -> (u32, bool) {
        let fresh = u32::try_from(self.parents.len()).expect("fewer than four billion states");
        let number = *self.index.entry(fingerprint).or_insert(fresh);
        if number == fresh {
            self.parents.push(parent);
            self.depths.push(depth);
        }
        (number, number == fresh)
    }

    /// Notes what is done. Words are compared by their places: there are few, and this is done for every step.
    fn note(&mut self, does: &'static str) {
        if !self.seen.iter().any(|known| std::ptr::eq(*known, does)) {
            self.seen.push(does);
        }
    }

    /// The first state from which no continuation without faults leads to the end.
    fn stuck(&self) -> Option<u32> {
        let count = self.parents.len();
        let mut heads = vec![0_u32; count + 1];
        for (_, to) in &self.quiet {
            heads[*to as usize + 1] += 1;
        }
        for at in 0..count {
            heads[at + 1] += heads[at];
        }
        let mut fill = heads.clone();
        let mut sources = vec![0_u32; self.quiet.len()];
        for (from, to) in &self.quiet {
            let place = &mut fill[*to as usize];
            sources[*place as usize] = *from;
            *place += 1;
        }
        let mut finishes = vec![false; count];
        let mut open: Vec<u32> = self.done.clone();
        for number in &open {
            finishes[*number as usize] = true;
        }
        while let Some(number) = open.pop() {
            let range = heads[number as usize] as usize..heads[number as usize + 1] as usize;
            for source in &sources[range] {
                if !std::mem::replace(&mut finishes[*source as usize], true) {
                    open.push(*source);
                }
            }
        }
        let stuck = finishes.iter().position(|finishes| !finishes)?;
        u32::try_from(stuck).ok()
    }

    /// The shortest trace to a state, found by going the way of the parents again.
    fn trace<P: Protocol>(&self, protocol: &P, to: u32) -> Vec<Step> {
        let mut path = vec![to];
        while let Some(last) = path.last().copied().filter(|last| *last != 0) {
            path.push(self.parents[last as usize]);
        }
        path.reverse();
        let mut state = protocol.start();
        let mut trace = Vec::new();
        for number in path.into_iter().skip(1) {
            let mut next = Next::new();
            protocol.next(&state, &mut next);
            let taken = next
                .steps
                .into_iter()
                .find(|(_, _, reached)| self.index.get(&fingerprint(reached)) == Some(&number));
            let (step, _, reached) = taken.expect("the step to a child is one of its parent's");
            trace.push(step);
            state = reached;
        }
        trace
    }
}

/// Explores all states, but no more than `bound`.
pub fn explore<P: Protocol>(protocol: &P, bound: usize) -> Report {
    look_for(protocol, bound, None)
}

/// Explores until `property` is broken; what else is broken does not count.
pub fn look_for<P: Protocol>(protocol: &P, bound: usize, property: Option<&'static str>) -> Report {
    let began = Instant::now();
    let mut space = Space::new();
    let mut open = VecDeque::new();
    let start = protocol.start();
    space.enter(fingerprint(&start), 0, 0);
    open.push_back((0_u32, start));
    let mut next = Next::new();
    let mut found = None;
    while let Some((number, state)) = open.pop_front() {
        let counts = |broken: &&'static str| property.is_none_or(|property| property == *broken);
        if let Some(broken) = protocol.broken(&state).into_iter().find(counts) {
            found = Some((broken, number));
            break;
        }
        if protocol.is_done(&state) {
            space.done.push(number);
        }
        let depth = space.depths[number as usize] + 1;
        next.steps.clear();
        protocol.next(&state, &mut next);
        for (step, is_fault, reached) in next.steps.drain(..) {
            space.steps += 1;
            space.note(step.does);
            let (to, is_new) = space.enter(fingerprint(&reached), number, depth);
            if !is_fault && to != number {
                space.quiet.push((number, to));
            }
            if is_new {
                open.push_back((to, reached));
            }
        }
        if space.parents.len() > bound {
            break;
        }
    }
    let is_whole = open.is_empty();
    if found.is_none() && is_whole && property.is_none_or(|property| property == LIVENESS) {
        found = space.stuck().map(|number| (LIVENESS, number));
    }
    let finding = match found {
        Some((property, number)) => Finding::Broken {
            property,
            trace: space.trace(protocol, number),
        },
        None if is_whole => Finding::Holds,
        None => Finding::Unfinished,
    };
    Report {
        finding,
        states: space.parents.len(),
        steps: space.steps,
        depth: space.depths.last().copied().map_or(0, usize::from),
        took: began.elapsed(),
        seen: space.seen.into_iter().collect(),
    }
}

/// Walks at random, for spaces too large to explore: so many walks, each of at most so many steps. Safety only.
/// Returns how many steps were made, and what was broken first.
pub fn walk<P: Protocol>(
    protocol: &P,
    seed: u64,
    walks: usize,
    length: usize,
) -> (usize, Option<(&'static str, Vec<Step>)>) {
    let mut random = seed | 1;
    let mut draw = |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random >> 11) as usize % below
    };
    let mut made = 0;
    let mut next = Next::new();
    for _ in 0..walks {
        let mut state = protocol.start();
        let mut trace = Vec::new();
        for _ in 0..length {
            next.steps.clear();
            protocol.next(&state, &mut next);
            if next.steps.is_empty() {
                break;
            }
            let (step, _, reached) = next.steps.swap_remove(draw(next.steps.len()));
            trace.push(step);
            state = reached;
            made += 1;
            if let Some(property) = protocol.broken(&state).first().copied() {
                return (made, Some((property, trace)));
            }
        }
    }
    (made, None)
}

/// A walk at random, with the state after each step.
pub fn stroll<P: Protocol>(protocol: &P, seed: u64, length: usize) -> Vec<(Step, P::State)> {
    let mut random = seed | 1;
    let mut state = protocol.start();
    let mut walked = Vec::new();
    for _ in 0..length {
        let mut next = Next::new();
        protocol.next(&state, &mut next);
        if next.steps.is_empty() {
            break;
        }
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let at = (random >> 11) as usize % next.steps.len();
        let (step, _, reached) = next.steps.swap_remove(at);
        walked.push((step, reached.clone()));
        state = reached;
    }
    walked
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::Who;

    /// Counts to three, and may fall into a hole or over the edge.
    struct Counter {
        has_hole: bool,
        limit: u8,
    }

    impl Protocol for Counter {
        type State = u8;

        fn start(&self) -> u8 {
            0
        }

        fn next(&self, state: &u8, next: &mut Next<u8>) {
            if *state < 3 {
                next.step(Who::Postgres, "count", *state, state + 1);
            }
            if self.has_hole && *state == 1 {
                next.fault(Who::Postgres, "fall", 0, 9);
            }
        }

        fn broken(&self, state: &u8) -> Vec<&'static str> {
            let is_over = *state != 9 && *state > self.limit;
            is_over.then_some("over the edge").into_iter().collect()
        }

        fn is_done(&self, state: &u8) -> bool {
            *state == 3
        }
    }

    #[test]
    fn sees_every_state_once() {
        let report = explore(
            &Counter {
                has_hole: false,
                limit: 3,
            },
            100,
        );
        assert_eq!(
            (report.finding, report.states, report.depth),
            (Finding::Holds, 4, 3)
        );
    }

    #[test]
    fn the_shortest_trace_leads_to_what_is_broken() {
        let report = explore(
            &Counter {
                has_hole: true,
                limit: 1,
            },
            100,
        );
        let Finding::Broken { property, trace } = report.finding else {
            panic!("must be found")
        };
        assert_eq!((property, trace.len()), ("over the edge", 2));
    }

    #[test]
    fn a_state_without_an_end_is_found() {
        let report = explore(
            &Counter {
                has_hole: true,
                limit: 3,
            },
            100,
        );
        let Finding::Broken { property, trace } = report.finding else {
            panic!("must be found")
        };
        assert_eq!((property, trace.len(), trace[1].does), (LIVENESS, 2, "fall"));
    }

    #[test]
    fn a_bound_that_is_too_small_is_no_proof() {
        let report = explore(
            &Counter {
                has_hole: false,
                limit: 3,
            },
            2,
        );
        assert_eq!(report.finding, Finding::Unfinished);
    }

    #[test]
    fn a_walk_finds_the_edge() {
        let (_, found) = walk(
            &Counter {
                has_hole: false,
                limit: 2,
            },
            7,
            3,
            10,
        );
        assert_eq!(found.map(|(property, _)| property), Some("over the edge"));
    }
}
