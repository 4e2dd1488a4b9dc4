//! The database: what the migrations make, twice, at once and beside others.

mod released;

mod run;

mod roles;

mod eras;

mod grants;

mod held;

mod inbox_days;

mod locks;

mod operators;

mod inbox_window;

mod snapshot;

mod tags;
