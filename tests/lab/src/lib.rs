//! The fault lab: every place at which a process may die, and schedules of faults that follow from one number.
//!
//! It stands on the harness of the system tests (worlds, relays, journal, witness, proxy); nothing of it is shipped.
//! Authoritative for what happened is the producers' own journal. A fault that met nothing did not happen, and a run in which
//! a scheduled fault did not happen, or in which too little succeeded, fails.
//!
//! Deliberately absent: retries of a failed run, and chance that no seed brings back.

pub mod crash;

pub mod chaos;
