//! How Postgres is reached.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use super::kind::{Maybe, Path, Secret, Span, Switch, Words, one_of};
use super::section::section;

/// A connect attempt that takes longer fails and is retried.
pub const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longer than any statement of ours on a healthy server, shorter than an operator's patience.
pub const DEFAULT_QUERY_TIMEOUT: Duration = Duration::from_secs(30);

/// How much of TLS is asked for, in libpq's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// Plain text.
    Disable,
    /// TLS where the server offers it; the certificate is not checked.
    Prefer,
    /// TLS or nothing; the certificate is checked only when a root certificate is given.
    Require,
    /// TLS, and the certificate must come from a trusted authority.
    VerifyCa,
    /// TLS, a trusted authority, and the certificate must name the host.
    VerifyFull,
}

impl Words for Tls {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("disable", Self::Disable),
        ("prefer", Self::Prefer),
        ("require", Self::Require),
        ("verify-ca", Self::VerifyCa),
        ("verify-full", Self::VerifyFull),
    ];
}

section! {
    /// How Postgres is reached: the database that holds the log (for `consume`: the consumer's own database).
    Postgres = "postgres" {
        /// Connection URL. `sslmode` and `sslrootcert` in it are understood; the settings `tls` and `tls_root_cert` go before them.
        url: Option<SecretString> = None, Maybe(Secret(is_postgres_url, "a URL such as postgres://user@host:5432/database"));
        /// Password, when it shall not be part of the URL. It replaces the one in the URL.
        password: Option<SecretString> = None, Maybe(Secret(|text| !text.is_empty(), "a password of at least one character"));
        /// How much of TLS is asked for. Absent: the `sslmode` of the URL, else `prefer`. `prefer` and `require` encrypt but do not prove who answers; on networks you do not own use `verify-full`.
        tls: Option<Tls> = None, Maybe(one_of::<Tls>());
        /// PEM file with the authorities to trust instead of the public ones. With `require` it also makes the certificate be checked, as libpq does.
        tls_root_cert: Option<PathBuf> = None, Maybe(Path);
        /// How long one attempt to connect may take, per host.
        connect_timeout: Duration = DEFAULT_CONNECT_TIMEOUT, Span(Duration::from_millis(100), Duration::from_secs(60));
        /// How long one statement may take before the connection is given up. Not a limit on backlog: batches are read in chunks.
        query_timeout: Duration = DEFAULT_QUERY_TIMEOUT, Span(Duration::from_secs(1), Duration::from_secs(600));
        /// Whether to be woken by LISTEN/NOTIFY. Set it to false behind a pooler in transaction mode: then the log is polled, statements are unnamed and no session settings are sent.
        listen: bool = true, Switch;
    }
}

fn is_postgres_url(text: &str) -> bool {
    (text.starts_with("postgres://") || text.starts_with("postgresql://")) && text.len() > 13
}
