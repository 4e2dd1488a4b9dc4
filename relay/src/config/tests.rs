//! Where settings come from, what is refused, and that no secret is ever shown.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::*;

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn file(folder: &tempfile::TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, text).expect("a file in a temporary folder");
    path
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn secret(value: &Option<secrecy::SecretString>) -> &str {
    use secrecy::ExposeSecret;
    value.as_ref().map_or("", |value| value.expose_secret())
}

#[test]
fn a_flag_goes_before_the_environment_and_that_before_the_file() {
    let folder = folder();
    let path = file(
        &folder,
        "outbox.toml",
        "[tail]\nlease_ttl = \"7s\"\nslow_poll = \"7s\"\nfirst_rows = 7\n",
    );
    let sources = Sources {
        flags: map(&[("tail-lease-ttl", "5s")]),
        variables: map(&[("OUTBOX_TAIL_LEASE_TTL", "6s"), ("OUTBOX_TAIL_SLOW_POLL", "6s")]),
        file: Some(path.clone()),
    };
    let config = Config::load(sources, &[]).expect("a configuration");
    assert_eq!(config.tail.lease_ttl, Duration::from_secs(5));
    assert_eq!(config.tail.slow_poll, Duration::from_secs(6));
    assert_eq!(config.tail.first_rows, 7);
    assert_eq!(config.tail.chunk_rows, tail::DEFAULT_CHUNK_ROWS);
    assert_eq!(config.origins["tail.lease_ttl"], "--tail-lease-ttl");
    assert_eq!(config.origins["tail.slow_poll"], "OUTBOX_TAIL_SLOW_POLL");
    assert_eq!(
        config.origins["tail.first_rows"],
        format!("{}: tail.first_rows", path.display())
    );
    assert!(!config.origins.contains_key("tail.chunk_rows"));
}

#[test]
fn a_secret_may_come_from_a_file_named_by_flag_variable_or_key() {
    let folder = folder();
    let password = file(&folder, "password", "from variable\n");
    let url = file(&folder, "url", "redis://from-flag");
    let key = file(&folder, "key", "from key\r\n");
    let toml = format!(
        "[postgres]\npassword_file = {:?}\n[redis]\npassword = \"from toml\"\n",
        key.display().to_string()
    );
    let sources = Sources {
        flags: map(&[("redis-url-file", &url.display().to_string())]),
        variables: map(&[("OUTBOX_REDIS_PASSWORD_FILE", &password.display().to_string())]),
        file: Some(file(&folder, "outbox.toml", &toml)),
    };
    let config = Config::load(sources, &[Need::Redis]).expect("a configuration");
    assert_eq!(secret(&config.redis.url), "redis://from-flag");
    assert_eq!(secret(&config.redis.password), "from variable");
    assert_eq!(secret(&config.postgres.password), "from key");
}

#[test]
fn everything_wrong_is_reported_at_once_with_its_source_and_rule() {
    let folder = folder();
    let path = file(
        &folder,
        "outbox.toml",
        "[tail]\nlease_tll = \"4s\"\nchunk_bytes = 1.5\n[http]\nbind = \"here\"\n",
    );
    let sources = Sources {
        flags: map(&[("tail-lease-ttl", "4")]),
        variables: map(&[
            ("OUTBOX_PUBLISH_MODE", "yaml"),
            ("OUTBOX_REDIS_PASSWORD_FILE", "/does/not/exist"),
            ("OUTBOX_PUBLISH_BACKOFF_MIN", "30s"),
        ]),
        file: Some(path.clone()),
    };
    let Error(problems) = Config::load(sources, &[Need::Postgres, Need::Redis]).expect_err("a refusal");
    let found: Vec<String> = problems
        .iter()
        .map(|problem| format!("{}: {}", problem.origin, problem.what))
        .collect();
    let path = path.display();
    let expected = [
        "OUTBOX_REDIS_PASSWORD_FILE (/does/not/exist): cannot be read: No such file or directory (os error 2)".to_owned(),
        "--tail-lease-ttl: must be a duration with its unit (ms, s, m, h) from 1s to 5m, got \"4\"".to_owned(),
        format!("{path}: tail.chunk_bytes: must be a string, a whole number or a boolean, got a TOML float"),
        "OUTBOX_PUBLISH_MODE: must be one of structured, binary, got \"yaml\"".to_owned(),
        format!("{path}: http.bind: must be an IP address and port such as 127.0.0.1:8087 or [::]:8087, got \"here\""),
        "DATABASE_URL: is not set, nor is --database-url, DATABASE_URL_FILE or postgres.url in the file; this command needs it".to_owned(),
        "REDIS_URL: is not set, nor is --redis-url, REDIS_URL_FILE or redis.url in the file; this command needs it".to_owned(),
        "OUTBOX_PUBLISH_BACKOFF_MIN: publish.backoff_min (30s) must not be longer than publish.backoff_max (5s)".to_owned(),
        format!("{path}: tail.lease_tll: there is no such setting; did you mean tail.lease_ttl?"),
    ];
    assert_eq!(found, expected);
}

#[test]
fn no_secret_is_printed_nor_named_in_an_error() {
    let folder = folder();
    let long = file(&folder, "long", &"hush".repeat(20_000));
    let toml = file(&folder, "outbox.toml", "[postgres]\npassword = \"hush\n");
    let sources = Sources {
        flags: map(&[("database-url", "mysql://hush@host/db"), ("redis-url", "hush")]),
        variables: map(&[("OUTBOX_REDIS_PASSWORD_FILE", &long.display().to_string())]),
        file: Some(toml),
    };
    let error = Config::load(sources, &[]).expect_err("a refusal");
    assert_eq!(error.0.len(), 4, "{error}");
    assert!(
        !error.to_string().contains("hush") && !format!("{error:?}").contains("hush"),
        "{error}"
    );

    let variables = map(&[
        ("DATABASE_URL", "postgres://u:hush@host/db"),
        ("REDIS_URL", "redis://:hush@host"),
        ("OUTBOX_REDIS_PASSWORD", "hush"),
        ("OUTBOX_POSTGRES_PASSWORD", "hush"),
    ]);
    let config = Config::load(
        Sources {
            variables,
            ..Sources::default()
        },
        &[],
    )
    .expect("a configuration");
    let printed = format!(
        "{config:?} {}",
        serde_json::to_string(&print::lines(&config)).expect("JSON")
    );
    assert!(!printed.contains("hush"), "{printed}");
    assert_eq!(
        print::lines(&config)
            .iter()
            .filter(|line| line.secret && line.origin.is_some())
            .count(),
        4
    );
}

#[test]
fn a_misspelt_variable_is_a_warning_and_a_strange_one_is_nothing() {
    let variables = map(&[
        ("OUTBOX_TAIL_LEASE_TLL", "4s"),
        ("OUTBOX_SERVICE_HOST", "10.0.0.1"),
        ("HOME", "/root"),
    ]);
    let config = Config::load(
        Sources {
            variables,
            ..Sources::default()
        },
        &[],
    )
    .expect("a configuration");
    assert_eq!(
        config.warnings,
        ["OUTBOX_TAIL_LEASE_TLL is set but is no setting; did you mean OUTBOX_TAIL_LEASE_TTL?"]
    );
}

#[test]
fn every_default_is_a_value_that_may_be_set() {
    for (_, _, settings) in Config::sections() {
        for setting in settings {
            let Some(default) = setting.default else { continue };
            let variables = BTreeMap::from([(setting.name.variable(), default)]);
            let loaded = Config::load(
                Sources {
                    variables,
                    ..Sources::default()
                },
                &[],
            );
            assert!(loaded.is_ok(), "{}: {:?}", setting.name.key(), loaded.err());
        }
    }
}

#[test]
fn the_page_about_the_configuration_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md");
    let page = std::fs::read_to_string(path).expect("docs/configuration.md");
    assert!(
        page == document::markdown(),
        "make it again: outbox-relay config --document > docs/configuration.md"
    );
}

#[test]
fn a_file_that_never_ends_is_refused() {
    let variables = map(&[("OUTBOX_REDIS_PASSWORD_FILE", "/dev/zero")]);
    for (file, variables) in [(None, variables), (Some(PathBuf::from("/dev/zero")), map(&[]))] {
        let sources = Sources {
            flags: map(&[]),
            variables,
            file,
        };
        let error = Config::load(sources, &[]).expect_err("a device").to_string();
        assert!(error.contains("has more than"), "{error}");
    }
}
