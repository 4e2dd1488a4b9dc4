//! The path, stage by stage, on real servers.

mod append;

mod append_rules;

mod arrivals;

mod at_rest;

mod by_hand;

mod check;

mod cli;

mod consume;

mod consumer_cli;

mod dead_letters;

mod far;

mod health;

mod interop;

mod leaks;

mod lost_entries;

mod naive_tail;

mod ops;

mod outgoing;

mod partitions;

mod pieces;

mod publish;

mod ring;

mod roles;

mod settled;

mod stopping;

mod tail;

mod tls;

mod tracing;

mod trace_command;

mod trimming;

mod went_back;

mod world;
