//! `cargo xtask orders`: orders in the event store, on servers of its own.
//!
//! This checks the arguments and finds the servers before the long build; the rest is `examples/orders`.

use std::path::Path;

use crate::example::become_program;
use crate::servers::{Error, Kind, Permission, Result, ensure};

const FILE: &str = "olist-orders.csv";

/// Builds and becomes the example, or says loudly that the file is not there.
///
/// # Errors
/// On other arguments, when a server is missing and may not be installed, and when the program cannot be built.
pub fn run(arguments: &[String]) -> Result<()> {
    match arguments {
        [] => {}
        [flag, folder] if flag == "--data" => {
            let file = Path::new(folder).join(FILE);
            if !file.is_file() {
                eprintln!("SKIPPED: real orders. {} is not there", file.display());
                return Ok(());
            }
        }
        _ => return Err(Error::new("orders takes --data FOLDER, or nothing")),
    }
    ensure(&[Kind::Postgres, Kind::Redis], Permission::Install)?;
    become_program("orders", arguments)
}
