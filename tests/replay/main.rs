//! Traces of the models, followed step by step on real servers (docs/model.md).
//!
//! Needs servers of its own or those of the run; a trace is a value of the model, so a change of the model changes what is followed.

mod cast;

mod doorbell;

mod ledger;

mod log;

mod stream;

mod tail;

mod trim;
