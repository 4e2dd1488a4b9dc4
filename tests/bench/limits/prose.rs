//! What the page says in words; its numbers are in `tables`.

pub(super) const HEAD: &str = "# Where it ends, and what more machines change

Repeat it with

```sh
cargo xtask bench limits             # within a minute, without servers: it computes and simulates. --quick: a fiftieth of the rate
```

What the other pages measured on one machine is taken here part by part: what each takes for an event says where one of it ends, what
ends first, and how many of each a rate needs. Nothing on this page was measured at a rate that one machine does not reach: it is
computed, and simulated. Every number says where it is from; what is assumed is said to be, with its reason. The program reads the
JSON of the other pages and writes this one.
";

pub(super) const STREAMS: &str = "How many topics and partitions there are bounds nothing but memory and rows: each stream is a lane of the relay, which holds
32 MiB of rows for all of them together and reads again what does not fit; each batch stores a row for each stream that
it has events of; four reads are under way at a time. A topic has up to 1,024 partitions. What a thousand busy streams cost was not measured.
";

pub(super) const MORE: &str = "## What more machines change

**Several databases** are the way that is there. A database has one leader, because the order of its batches is one chain; a second relay of
it is a standby. What one relay or one Postgres cannot do, two databases do, each with a relay of its own that knows nothing of the other:
all of the parts above but Redis and consumers then come in pairs. Streams stay apart by topic, by prefix, or by the name of the writing
database (`outbox.settings.writer`: `<topic>@<writer>`), and consumers find the streams of all writers of a topic by themselves. Order is
per key and database: a key must always be written in the same one. A transaction is within one database, so what must commit together
must be in one.

**Several Redis** are the same way again: a relay writes to one Redis, and databases choose. A consumer reads from one Redis; one that wants
the events of two has a member for each. Sentinel and replicas change what a failover loses, not where a Redis ends.

**Redis Cluster is not supported**: a server that answers `MOVED`, `ASK` or `CROSSSLOT` is refused, with that sentence (`publish/redis/reply.rs`).
Most of the protocol would stay as it is. A parcel is one `MULTI` of one stream and its mark, so it belongs to one node as soon as both keys
hash to one slot; they do not now (`outbox:orders` and `outbox:@mark:orders` have no hash tag), nor does the layout of a topic. It would take: keys with
the stream's name as their tag, and a way for streams that exist to move there; a connection and a comparison of marks per node instead of
one, so that a node that fails over holds up its own slots alone; `SCAN` at each node where consumers look for writers; database 0 only. One
stream still is on one node: what a stream can do stays, what all streams can do is the sum of the nodes. Until then partitions of one
topic cannot be spread over Redis servers; topics and databases can.

**Kafka is not in the tree**: there is one sink, Redis Streams, behind a port (`publish/sink.rs`), and services do not see it. A partition would take
the place of a stream, and a producer's batch that of a parcel. What the port asks of a sink and Kafka does not have: an entry id that the
relay chooses and that is refused when it is not above the last one, and a look for the predecessor within the same transaction. In their place would be
an idempotent producer with a transactional id per database, which fences a zombie by its epoch, and offsets that are read back after an
outcome that is not known; entries would carry their ids as headers, and consumers' gates would work as they do. Its partitions are appended
to in parallel on many brokers, so what the row of one Redis says would not bound it; the relay, the database and the consumers' databases
would, as above. Nothing here says how fast that would be.
";

pub(super) const MODEL: &str = "## A million events a second, simulated

A simulation of queueing, by a seed: producers → flush of a Postgres → cycle of its relay → parcels at a Redis → consumers of streams. It assumes:

* Databases are alike, each with one relay, as many streams, and a consumer for each stream; each relay writes to one Redis. Keys are even over
  streams, events over databases. Each transaction brings one event.
* Events come as of people who know nothing of each other (Poisson), at each database by itself; *in bursts*: three times the mean in a
  tenth of the time, a tenth of a second long each in the mean, in each database at another time.
* A part takes what waits when it is free, and takes a fixed time and one for each event: a **flush** the time of a durable commit and two round trips, and
  for each event the processor of an append over the cores of the server; a **cycle** of the relay what an event takes from a commit to a reader when
  little comes, and for each event the greater of its own processor and of its session's at Postgres, one core each; a **parcel** at Redis as much as ten entries, and each
  entry; a **consumer** a commit, and for each event what one measured member takes, a handler per event.
* One parcel of a stream is under way, and the next leaves when the answer is there. A Redis serves one parcel after the other.
* A part that stands still does what it had in hand again from the beginning. A Redis that fails over has lost nothing (what it lost would be put
  out again, at up to 10,000/s, beside what is new); a relay that takes over knows nothing and goes on at once. What waits is in Postgres or on
  a stream, and has room; catching up costs an event what it costs otherwise.
* Not in it: producers that time out and try again, vacuum and checkpoints, garbage of neighbours, networks that are full, people.

Packets of events go through it rather than events, a number and the window in which they came. Tests compare it with the formulas of
M/M/1 and M/D/1, with Little's law, and with the same path run event by event.
";
