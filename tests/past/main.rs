//! Postgres goes back in time, or moves: what is noticed, and what each choice of a person comes to. On real servers.

mod noticed;

mod copied;

mod unknown;

mod strange;

mod chosen;

mod groups;

mod interrupted;

mod lost;

mod transactions;

mod standby;
