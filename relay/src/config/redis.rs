//! How Redis is reached, and what our keys begin with.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use super::kind::{Maybe, Path, Secret, Span, Text};
use super::section::section;

/// Short, since a connect attempt is retried with backoff.
pub const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// A share of 500 entries takes milliseconds; a server that forks or swaps may take seconds.
pub const DEFAULT_RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);
/// Part of the contract with consumers in other languages.
pub const DEFAULT_PREFIX: &str = "outbox:";

section! {
    /// How Redis is reached.
    Redis = "redis" {
        /// Connection URL; `rediss://` for TLS.
        url: Option<SecretString> = None, Maybe(Secret(is_redis_url, "a URL such as redis://host:6379/0, or rediss:// for TLS"));
        /// User of Redis' access control lists. It replaces the one in the URL.
        username: Option<String> = None, Maybe(Text(|text| !text.is_empty(), "a user name of at least one character"));
        /// Password, when it shall not be part of the URL. It replaces the one in the URL.
        password: Option<SecretString> = None, Maybe(Secret(|text| !text.is_empty(), "a password of at least one character"));
        /// PEM file with the authorities to trust instead of the public ones. Needs a `rediss://` URL.
        tls_root_cert: Option<PathBuf> = None, Maybe(Path);
        /// What every key of ours begins with; a topic's stream is `<prefix><topic>`. All relays and consumers of a topic must agree on it.
        prefix: String = DEFAULT_PREFIX.to_owned(), Text(is_prefix, "0 to 100 of A-Z a-z 0-9 : . _ - { }");
        /// How long one attempt to connect may take.
        connect_timeout: Duration = DEFAULT_CONNECT_TIMEOUT, Span(Duration::from_millis(100), Duration::from_secs(60));
        /// How long an answer may take before the connection is given up and its outcome counts as unknown.
        response_timeout: Duration = DEFAULT_RESPONSE_TIMEOUT, Span(Duration::from_millis(100), Duration::from_secs(60));
    }
}

fn is_redis_url(text: &str) -> bool {
    ["redis://", "rediss://", "unix://", "redis+unix://"]
        .iter()
        .any(|scheme| text.starts_with(scheme) && text.len() > scheme.len())
}

fn is_prefix(text: &str) -> bool {
    text.len() <= 100
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || ":._-{}".contains(c))
}
