//! Which Postgres, and how much of TLS: the URL and the settings beside it brought together. Pure.

use std::path::PathBuf;

use secrecy::ExposeSecret;

use crate::config;
use crate::config::Tls;
use crate::config::kind::Words;

/// Where to connect to.
pub(super) struct Target {
    /// The URL without the parameters that the driver does not know.
    pub(super) url: String,
    /// How much of TLS, with libpq's meaning: a root certificate turns `require` into `verify-ca`.
    pub(super) tls: Tls,
    /// The authorities to trust instead of the public ones.
    pub(super) root: Option<PathBuf>,
}

/// Brings URL and settings together.
pub(super) fn target(config: &config::Postgres) -> Result<Target, String> {
    let url = config
        .url
        .as_ref()
        .ok_or("DATABASE_URL is not set")?
        .expose_secret();
    let (base, query) = split_query(url);
    let mut tls = None;
    let mut root = None;
    let mut kept = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=').unwrap_or((pair, "")) {
            ("sslmode", word) => tls = Some(mode(word)?),
            ("sslrootcert", path) => root = Some(PathBuf::from(path.replace("%2F", "/"))),
            (name @ ("sslcert" | "sslkey" | "sslpassword"), _) => {
                return Err(format!(
                    "{name} in the URL: client certificates are not supported"
                ));
            }
            _ => kept.push(pair),
        }
    }
    let url = if kept.is_empty() {
        base.to_owned()
    } else {
        format!("{base}?{}", kept.join("&"))
    };
    let root = config.tls_root_cert.clone().or(root);
    let tls = match config.tls.or(tls).unwrap_or(Tls::Prefer) {
        Tls::Require if root.is_some() => Tls::VerifyCa,
        other => other,
    };
    Ok(Target { url, tls, root })
}

fn mode(word: &str) -> Result<Tls, String> {
    let word = if word == "allow" { "prefer" } else { word };
    let found = Tls::WORDS.iter().find(|(known, _)| *known == word);
    found.map(|(_, tls)| *tls).ok_or_else(|| {
        "sslmode in the URL must be disable, prefer, require, verify-ca or verify-full".to_owned()
    })
}

/// A question mark may stand unescaped in a password, so only one behind the last `@` counts.
fn split_query(url: &str) -> (&str, &str) {
    let host = url.rfind('@').unwrap_or(0);
    match url[host..].find('?') {
        Some(at) => (&url[..host + at], &url[host + at + 1..]),
        None => (url, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(url: &str, tls: Option<Tls>, root: Option<&str>) -> Result<Target, String> {
        let mut variables = std::collections::BTreeMap::from([("DATABASE_URL".to_owned(), url.to_owned())]);
        variables.extend(tls.map(|tls| ("OUTBOX_POSTGRES_TLS".to_owned(), tls.word().to_owned())));
        variables.extend(root.map(|root| ("OUTBOX_POSTGRES_TLS_ROOT_CERT".to_owned(), root.to_owned())));
        let sources = config::Sources {
            variables,
            ..config::Sources::default()
        };
        target(
            &config::Config::load(sources, &[])
                .map_err(|error| error.to_string())?
                .postgres,
        )
    }

    #[test]
    fn the_url_says_how_much_tls_and_the_setting_goes_before_it() {
        let found = of(
            "postgres://u:p?w@h/d?sslmode=verify-full&sslrootcert=/ca.pem&application_name=x",
            None,
            None,
        );
        let found = found.expect("a target");
        assert_eq!(found.tls, Tls::VerifyFull);
        assert_eq!(found.root, Some(PathBuf::from("/ca.pem")));
        assert_eq!(found.url, "postgres://u:p?w@h/d?application_name=x");
        let found = of("postgres://h/d?sslmode=disable", Some(Tls::Require), None).expect("a target");
        assert_eq!((found.tls, found.url.as_str()), (Tls::Require, "postgres://h/d"));
    }

    #[test]
    fn a_root_certificate_makes_require_verify_as_libpq_does() {
        let found = of("postgres://h/d?sslmode=require", None, Some("/ca.pem")).expect("a target");
        assert_eq!(found.tls, Tls::VerifyCa);
        assert_eq!(
            of("postgres://h/d", None, None).expect("a target").tls,
            Tls::Prefer
        );
    }

    #[test]
    fn what_is_not_supported_is_said_without_the_url() {
        for url in [
            "postgres://u:hush@h/d?sslmode=sometimes",
            "postgres://u:hush@h/d?sslcert=/x",
        ] {
            let error = of(url, None, None).err().expect("a refusal");
            assert!(!error.contains("hush") && error.contains("ssl"), "{error}");
        }
    }
}
