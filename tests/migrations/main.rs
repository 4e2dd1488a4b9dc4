//! The database: what the migrations make, twice, at once and beside others.
