//! The protocol as explicit-state models: small ones that share a vocabulary, each explored to the end within its bounds.
//!
//! docs/model.md says which function of the code each step stands for, what is left out, and what came out. Each mechanism
//! has a switch: taken away, a shortest counterexample must be found, or the model would prove nothing.

pub mod explore;

pub mod step;

pub mod tail;

pub mod cases;

pub mod stream;

pub mod consume;

pub mod park;

pub mod doorbell;

pub mod pieces;

pub mod eras;

pub mod partitions;

pub mod groups;
