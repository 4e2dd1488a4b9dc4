//! Projections on a real server: applied, built anew, compared, switched.

mod inline;

mod orders;

mod rebuild;
