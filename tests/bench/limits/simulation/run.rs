//! A run of the path, event after event of the agenda: producers, Postgres, relays, Redis, consumers.
//!
//! Each part takes what waits for it when it is free (a flush takes the commits that came during the one before, a cut what was
//! committed, a parcel what its stream has, a consumer what it finds), and one parcel of a stream is under way at a time. Deterministic:
//! the same plan gives the same outcome.

use std::collections::VecDeque;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use rand_distr::{Binomial, Distribution as _};

use super::agenda::{Agenda, What};
use super::arrivals::Arrivals;
use super::packet::{Packet, Queue};
use super::plan::{Look, Outcome, Plan};
use super::service::{Part, ends};

/// Fewer events are dealt to streams one by one.
const DEALT_SINGLY: u64 = 16;

struct Database {
    arrivals: Arrivals,
    came: Queue,
    flushing: Vec<Packet>,
    committed: Queue,
    cutting: Vec<Packet>,
    is_hit: bool,
}

#[derive(Default)]
struct Stream {
    cut: Queue,
    parcel: Vec<Packet>,
    is_under_way: bool,
    published: Queue,
    applying: Vec<Packet>,
}

#[derive(Default)]
struct Node {
    waiting: VecDeque<usize>,
    serving: Option<usize>,
}

/// The state of a run.
struct Run<'a> {
    plan: &'a Plan,
    agenda: Agenda,
    random: StdRng,
    databases: Vec<Database>,
    streams: Vec<Stream>,
    nodes: Vec<Node>,
    outcome: Outcome,
}

/// Lets events come for as long as the plan says, and follows each to its effect.
pub(crate) fn run(plan: &Plan) -> Outcome {
    let mut random = StdRng::seed_from_u64(plan.seed);
    let rate = plan.rate / plan.databases as f64;
    let is_hit = |database: usize| {
        plan.stalls.iter().any(|stall| match stall.part {
            Part::Relay(relay) => relay == database,
            Part::Node(node) => node == database % plan.nodes,
        })
    };
    let databases = (0..plan.databases).map(|number| Database {
        arrivals: Arrivals::new(rate, plan.pattern, plan.lasts, random.random()),
        came: Queue::default(),
        flushing: Vec::new(),
        committed: Queue::default(),
        cutting: Vec::new(),
        is_hit: is_hit(number),
    });
    let databases = databases.collect();
    let streams = plan.databases * plan.streams;
    let mut run = Run {
        plan,
        agenda: Agenda::default(),
        random,
        databases,
        streams: (0..streams).map(|_| Stream::default()).collect(),
        nodes: (0..plan.nodes).map(|_| Node::default()).collect(),
        outcome: Outcome::default(),
    };
    for database in 0..plan.databases {
        run.flush(database, 0.0);
    }
    run.agenda.note(plan.look_every, What::Looked);
    while let Some((at, what)) = run.agenda.next() {
        run.happens(at, what);
    }
    run.outcome
}

impl Run<'_> {
    fn happens(&mut self, at: f64, what: What) {
        match what {
            What::Came(database) => {
                let event = Packet {
                    count: 1,
                    from: at,
                    to: at,
                };
                self.databases[database].came.push(event);
                self.flush(database, at);
            }
            What::Flushed(database) => {
                for packet in std::mem::take(&mut self.databases[database].flushing) {
                    if packet.from >= self.plan.warms {
                        self.outcome.committed.add(&packet, at);
                    }
                    self.databases[database].committed.push(packet);
                }
                if self.databases[database].cutting.is_empty() {
                    self.cut(database, at);
                }
                self.flush(database, at);
            }
            What::Cut(database) => {
                for packet in std::mem::take(&mut self.databases[database].cutting) {
                    self.deal(database, packet);
                }
                let first = database * self.plan.streams;
                for stream in first..first + self.plan.streams {
                    self.send(stream, at);
                }
                self.cut(database, at);
            }
            What::Sent(stream) => {
                let node = self.node_of(stream);
                self.nodes[node].waiting.push_back(stream);
                self.serve(node, at);
            }
            What::Served(node) => self.served(node, at),
            What::Answered(stream) => {
                self.streams[stream].is_under_way = false;
                self.send(stream, at);
            }
            What::Applied(stream) => {
                let is_hit = self.databases[stream / self.plan.streams].is_hit;
                for packet in std::mem::take(&mut self.streams[stream].applying) {
                    if packet.from >= self.plan.warms {
                        self.outcome.applied.add(&packet, at);
                        if is_hit {
                            self.outcome.applied_hit.add(&packet, at);
                        }
                    }
                }
                self.apply(stream, at);
            }
            What::Looked => self.look(at),
        }
    }

    fn node_of(&self, stream: usize) -> usize {
        stream / self.plan.streams % self.plan.nodes
    }

    /// Begins a flush of what came, or waits for the next event.
    fn flush(&mut self, database: usize, at: f64) {
        let of = &mut self.databases[database];
        of.arrivals.until(at, &mut of.came);
        if of.came.len() == 0 {
            if let Some(next) = of.arrivals.next() {
                self.agenda.note(next, What::Came(database));
            }
            return;
        }
        of.flushing = of.came.take(self.plan.costs.commit.most);
        let seconds = self
            .plan
            .costs
            .commit
            .seconds(count(&of.flushing), &mut self.random);
        self.agenda.note(at + seconds, What::Flushed(database));
    }

    fn cut(&mut self, database: usize, at: f64) {
        let of = &mut self.databases[database];
        of.cutting = of.committed.take(self.plan.costs.cut.most);
        if of.cutting.is_empty() {
            return;
        }
        let seconds = self.plan.costs.cut.seconds(count(&of.cutting), &mut self.random);
        let end = ends(Part::Relay(database), &self.plan.stalls, at, seconds);
        self.agenda.note(end, What::Cut(database));
    }

    /// Each event goes to one of the database's streams, all of them alike.
    fn deal(&mut self, database: usize, packet: Packet) {
        let streams = self.plan.streams;
        let first = database * streams;
        if packet.count <= DEALT_SINGLY {
            for _ in 0..packet.count {
                let stream = first + self.random.random_range(0..streams);
                self.streams[stream].cut.push(Packet { count: 1, ..packet });
            }
            return;
        }
        let mut left = packet.count;
        for place in 0..streams {
            let part = 1.0 / (streams - place) as f64;
            // A part above 1 is no distribution, and none is that.
            let drawn = Binomial::new(left, part).map_or(left, |counts| counts.sample(&mut self.random));
            self.streams[first + place].cut.push(Packet {
                count: drawn,
                ..packet
            });
            left -= drawn;
        }
    }

    fn send(&mut self, stream: usize, at: f64) {
        let of = &mut self.streams[stream];
        if of.is_under_way || of.cut.len() == 0 {
            return;
        }
        of.parcel = of.cut.take(self.plan.costs.parcel.most);
        of.is_under_way = true;
        let there = self.plan.costs.round_trip / 2.0;
        self.agenda.note(at + there, What::Sent(stream));
    }

    fn serve(&mut self, node: usize, at: f64) {
        let of = &mut self.nodes[node];
        if of.serving.is_some() {
            return;
        }
        of.serving = of.waiting.pop_front();
        let Some(stream) = of.serving else { return };
        let events = count(&self.streams[stream].parcel);
        let seconds = self.plan.costs.parcel.seconds(events, &mut self.random);
        let end = ends(Part::Node(node), &self.plan.stalls, at, seconds);
        self.agenda.note(end, What::Served(node));
    }

    fn served(&mut self, node: usize, at: f64) {
        let Some(stream) = self.nodes[node].serving.take() else {
            return;
        };
        for packet in std::mem::take(&mut self.streams[stream].parcel) {
            if packet.from >= self.plan.warms {
                self.outcome.published.add(&packet, at);
            }
            self.streams[stream].published.push(packet);
        }
        let back = self.plan.costs.round_trip / 2.0;
        self.agenda.note(at + back, What::Answered(stream));
        if self.streams[stream].applying.is_empty() {
            self.apply(stream, at);
        }
        self.serve(node, at);
    }

    fn apply(&mut self, stream: usize, at: f64) {
        let of = &mut self.streams[stream];
        of.applying = of.published.take(self.plan.costs.apply.most);
        if !of.applying.is_empty() {
            let seconds = self
                .plan
                .costs
                .apply
                .seconds(count(&of.applying), &mut self.random);
            self.agenda.note(at + seconds, What::Applied(stream));
        }
    }

    fn look(&mut self, at: f64) {
        let mut look = Look {
            at,
            uncommitted: 0,
            unpublished: 0,
            unapplied: 0,
        };
        for of in &mut self.databases {
            of.arrivals.until(at, &mut of.came);
            look.uncommitted += of.came.len() + count(&of.flushing);
            look.unpublished += of.committed.len() + count(&of.cutting);
        }
        for of in &self.streams {
            look.unpublished += of.cut.len() + count(&of.parcel);
            look.unapplied += of.published.len() + count(&of.applying);
        }
        let is_over = look.uncommitted + look.unpublished + look.unapplied == 0 && at >= self.plan.lasts;
        self.outcome.looks.push(look);
        if !is_over {
            self.agenda.note(at + self.plan.look_every, What::Looked);
        }
    }
}

fn count(packets: &[Packet]) -> u64 {
    packets.iter().map(|packet| packet.count).sum()
}
