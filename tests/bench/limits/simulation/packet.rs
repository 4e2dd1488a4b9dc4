//! Pure: events that go together. Of Poisson arrivals whose number in a window is known, each is anywhere in it: so a number and a
//! window say all about them that delays need, and a million events cost what a few thousand packets cost.

use std::collections::VecDeque;

/// So many events, evenly over the seconds in which they came.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Packet {
    pub(crate) count: u64,
    pub(crate) from: f64,
    pub(crate) to: f64,
}

impl Packet {
    /// Takes the earliest so many out of it, at most all.
    fn split(&mut self, count: u64) -> Self {
        let part = count.min(self.count) as f64 / self.count as f64;
        let at = self.from + (self.to - self.from) * part;
        let first = Self {
            count: count.min(self.count),
            from: self.from,
            to: at,
        };
        self.count -= first.count;
        self.from = at;
        first
    }
}

/// Packets in the order in which they came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queue {
    packets: VecDeque<Packet>,
    count: u64,
}

impl Queue {
    /// Nothing, if it has no events.
    pub(crate) fn push(&mut self, packet: Packet) {
        if packet.count > 0 {
            self.count += packet.count;
            self.packets.push_back(packet);
        }
    }

    /// Events, not packets.
    pub(crate) fn len(&self) -> u64 {
        self.count
    }

    /// The first so many events, or all.
    pub(crate) fn take(&mut self, most: u64) -> Vec<Packet> {
        let mut taken = Vec::new();
        let mut room = most;
        while room > 0
            && let Some(first) = self.packets.front_mut()
        {
            let part = first.split(room);
            if first.count == 0 {
                self.packets.pop_front();
            }
            room -= part.count;
            self.count -= part.count;
            taken.push(part);
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::{Packet, Queue};

    #[test]
    fn what_is_taken_are_the_earliest_events_with_their_part_of_the_window() {
        let mut queue = Queue::default();
        for (count, from, to) in [(10, 0.0, 1.0), (0, 1.0, 2.0), (5, 2.0, 3.0)] {
            queue.push(Packet { count, from, to });
        }
        let packet = |count, from, to| Packet { count, from, to };
        assert_eq!(queue.take(4), [packet(4, 0.0, 0.4)]);
        assert_eq!(queue.take(8), [packet(6, 0.4, 1.0), packet(2, 2.0, 2.4)]);
        assert_eq!(queue.len(), 3);
        assert_eq!(queue.take(u64::MAX), [packet(3, 2.4, 3.0)]);
        assert!(queue.take(1).is_empty());
    }
}
