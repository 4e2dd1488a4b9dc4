//! Health, readiness and metrics over HTTP.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use super::kind::{Address, Maybe, Path};
use super::section::section;

/// Loopback, since the answers name topics and causes and there is no login.
pub const DEFAULT_BIND: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8087);

section! {
    /// Health, readiness and metrics over HTTP: `/livez`, `/readyz`, `/metrics`.
    Http = "http" {
        /// Address and port to listen on; port 0 lets the system choose one, which is logged. There is no login: in a container bind `0.0.0.0:8087` and keep the port inside the cluster.
        bind: SocketAddr = DEFAULT_BIND, Address;
        /// File that receives the port listened on, as one line, once it answers. For port 0 in tests and supervisors.
        port_file: Option<PathBuf> = None, Maybe(Path);
    }
}
