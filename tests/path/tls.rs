//! TLS to both servers: what each mode accepts and refuses, with certificates made for the test.

use std::net::TcpListener;
use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use system_tests::{Answer, Invocation, Relay, Result, World};
use xtask::servers::{Postgres, Redis};

use crate::arrivals::arrived;

/// An authority and a server certificate from it, as PEM files.
pub(crate) struct Certificates {
    pub(crate) authority: PathBuf,
    pub(crate) stranger: PathBuf,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    _folder: tempfile::TempDir,
}

pub(crate) fn certificates(name: &str) -> Result<Certificates> {
    let folder = tempfile::tempdir()?;
    let file = |name: &str, text: String| -> Result<PathBuf> {
        let path = folder.path().join(name);
        std::fs::write(&path, text)?;
        Ok(path)
    };
    let (authority_text, issuer) = authority()?;
    let (stranger_text, _) = authority()?;
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(vec![name.to_owned()])?.signed_by(&key, &issuer)?;
    Ok(Certificates {
        authority: file("authority.pem", authority_text)?,
        stranger: file("stranger.pem", stranger_text)?,
        certificate: file("server.pem", certificate.pem())?,
        key: file("server.key", key.serialize_pem())?,
        _folder: folder,
    })
}

fn authority() -> Result<(String, Issuer<'static, KeyPair>)> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let text = params.self_signed(&key)?.pem();
    Ok((text, Issuer::new(params, key)))
}

async fn world(certificates: &Certificates) -> Result<(World, u16)> {
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let redis = Redis::options()
        .set("tls-port", port)
        .set("tls-cert-file", certificates.certificate.display())
        .set("tls-key-file", certificates.key.display())
        .set("tls-ca-cert-file", certificates.authority.display())
        .set("tls-auth-clients", "no");
    let postgres = Postgres::options().tls(&certificates.certificate, &certificates.key);
    Ok((World::with_own_servers(postgres, redis).await?, port))
}

fn reached(answer: &Answer, server: &str) -> bool {
    !answer.output.contains(&format!("{server}.reachable"))
}

#[tokio::test]
async fn postgres_is_reached_as_the_mode_demands() -> Result {
    // GIVEN a server whose certificate is for localhost, of an authority of our own
    let certificates = certificates("localhost")?;
    let (world, _) = world(&certificates).await?;
    let by_name = world.database_url().replace("127.0.0.1", "localhost");
    let by_address = world.database_url().to_owned();
    let (ours, theirs) = (Some(&certificates.authority), Some(&certificates.stranger));
    // WHEN each mode is tried THEN it accepts what it should and nothing else
    let cases = [
        ("require", &by_address, None, true),
        ("require", &by_address, theirs, false),
        ("verify-ca", &by_address, ours, true),
        ("verify-ca", &by_address, theirs, false),
        ("verify-ca", &by_address, None, false),
        ("verify-full", &by_name, ours, true),
        ("verify-full", &by_address, ours, false),
        ("verify-full", &by_name, theirs, false),
    ];
    for (mode, url, root, expected) in cases {
        let mut check = Invocation::of(&world, &["check"])?
            .set("DATABASE_URL", url)
            .set("OUTBOX_POSTGRES_TLS", mode);
        if let Some(root) = root {
            check = check.set("OUTBOX_POSTGRES_TLS_ROOT_CERT", root.display());
        }
        let answer = check.ask()?;
        assert_eq!(
            reached(&answer, "postgres"),
            expected,
            "{mode} {url} {root:?}: {}",
            answer.output
        );
    }
    // AND the mode in the URL counts too
    let url = format!(
        "{by_address}?sslmode=verify-full&sslrootcert={}",
        certificates.authority.display()
    );
    let answer = Invocation::of(&world, &["check"])?
        .set("DATABASE_URL", url)
        .ask()?;
    assert!(!reached(&answer, "postgres"), "{}", answer.output);
    Ok(())
}

#[tokio::test]
async fn a_server_without_tls_is_refused_where_tls_is_demanded() -> Result {
    let world = World::new().await?;
    for mode in ["require", "verify-full"] {
        let answer = Invocation::of(&world, &["check"])?
            .set("OUTBOX_POSTGRES_TLS", mode)
            .ask()?;
        assert!(!reached(&answer, "postgres"), "{mode}: {}", answer.output);
    }
    for mode in ["disable", "prefer"] {
        let answer = Invocation::of(&world, &["check"])?
            .set("OUTBOX_POSTGRES_TLS", mode)
            .ask()?;
        assert!(reached(&answer, "postgres"), "{mode}: {}", answer.output);
    }
    Ok(())
}

#[tokio::test]
async fn redis_is_reached_only_by_the_authority_given() -> Result {
    let certificates = certificates("localhost")?;
    let (world, port) = world(&certificates).await?;
    let url = format!("rediss://localhost:{port}/0");
    for (root, expected) in [
        (Some(&certificates.authority), true),
        (Some(&certificates.stranger), false),
        (None, false),
    ] {
        let mut check = Invocation::of(&world, &["check"])?.set("REDIS_URL", &url);
        if let Some(root) = root {
            check = check.set("OUTBOX_REDIS_TLS_ROOT_CERT", root.display());
        }
        let answer = check.ask()?;
        assert_eq!(reached(&answer, "redis"), expected, "{root:?}: {}", answer.output);
    }
    Ok(())
}

#[tokio::test]
async fn an_event_goes_all_the_way_over_tls() -> Result {
    // GIVEN a relay that trusts one authority and verifies names at both ends
    let certificates = certificates("localhost")?;
    let (world, port) = world(&certificates).await?;
    let mut relay = Relay::of(&world)
        .set(
            "DATABASE_URL",
            world.database_url().replace("127.0.0.1", "localhost"),
        )
        .set("OUTBOX_POSTGRES_TLS", "verify-full")
        .set("OUTBOX_POSTGRES_TLS_ROOT_CERT", certificates.authority.display())
        .set("REDIS_URL", format!("rediss://localhost:{port}/0"))
        .set("OUTBOX_REDIS_TLS_ROOT_CERT", certificates.authority.display())
        .start()?;
    relay.leads().await?;
    // WHEN an event is appended THEN it is published, and the relay's sessions are encrypted
    let mut connection = world.connect().await?;
    sqlx::query("select outbox.append('t', '{}')")
        .execute(&mut connection)
        .await?;
    assert_eq!(arrived(&mut world.redis().await?, "outbox:t", 1).await?.len(), 1);
    let plain: i64 = sqlx::query_scalar(
        "select count(*) from pg_stat_ssl join pg_stat_activity using (pid) where application_name like 'outbox-relay/%' and not ssl",
    )
    .fetch_one(&mut connection)
    .await?;
    assert_eq!(plain, 0);
    Ok(())
}
