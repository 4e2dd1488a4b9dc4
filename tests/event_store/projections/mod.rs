//! Projections on a real server: applied, built anew, compared, switched.

mod inline;

pub(crate) mod orders;

mod rebuild;

mod switching;
