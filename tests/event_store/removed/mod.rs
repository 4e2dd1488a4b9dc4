//! Events that went to a topic, were removed from their stream since, and are missing when the topic is put out again: not lost.

mod bench;

mod counted;

mod put_out;

mod read_again;
