//! Loading, deciding and appending, in the transaction of a connection.

mod execute;
mod load;
mod snapshot;
mod within;
