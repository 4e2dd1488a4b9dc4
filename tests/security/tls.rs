//! TLS to both servers with an authority of our own: who is not let in, and that certificates can be replaced.

use std::net::TcpListener;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use sqlx::Executor;
use system_tests::patience::until;
use system_tests::relay::RelayOptions;
use system_tests::{Relay, Result, Schema, World};
use xtask::servers::{Postgres, Redis};

const LIMIT: std::time::Duration = std::time::Duration::from_secs(30);

/// An authority that issues certificates into a folder.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    text: String,
    folder: tempfile::TempDir,
}

impl Authority {
    fn new() -> Result<Self> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let text = params.self_signed(&key)?.pem();
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("authority.pem"), &text)?;
        Ok(Self {
            issuer: Issuer::new(params, key),
            text,
            folder,
        })
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("authority.pem")
    }

    /// Certificate and key for a host, valid until the first of January of a year.
    fn issue(&self, name: &str, host: &str, until: i32) -> Result<(PathBuf, PathBuf)> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(vec![host.to_owned()])?;
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        let certificate = self.folder.path().join(format!("{name}.pem"));
        let key_file = self.folder.path().join(format!("{name}.key"));
        std::fs::write(&certificate, params.signed_by(&key, &self.issuer)?.pem())?;
        std::fs::write(&key_file, key.serialize_pem())?;
        Ok((certificate, key_file))
    }
}

async fn world(certificate: &Path, key: &Path, authority: &Path) -> Result<(World, u16)> {
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let redis = Redis::options()
        .set("tls-port", port)
        .set("tls-cert-file", certificate.display())
        .set("tls-key-file", key.display())
        .set("tls-ca-cert-file", authority.display())
        .set("tls-auth-clients", "no");
    let postgres = Postgres::options().tls(certificate, key);
    Ok((World::with_own_servers(postgres, redis).await?, port))
}

/// A relay and a consumer that ask for TLS of both servers.
async fn both(world: &World, port: u16, root: &Path) -> Result<[RelayOptions; 2]> {
    let shop = world.another_database(Schema::Inbox).await?;
    shop.connect()
        .await?
        .execute(
            "create schema shop authorization test_consumer; alter default privileges in schema shop grant all on tables to test_consumer; create table shop.seen (id text);
             create function shop.apply(event json) returns void language sql as 'insert into shop.seen values (event ->> ''id'')'",
        )
        .await?;
    let consume = ["consume", "--group", "g", "--topic", "t", "--call", "shop.apply"];
    let processes = [
        (Relay::of(world), world.database_url()),
        (Relay::command(&consume), shop.url()),
    ];
    Ok(processes.map(|(process, database)| {
        process
            .set("DATABASE_URL", database.replace("127.0.0.1", "localhost"))
            .set("OUTBOX_POSTGRES_TLS", "verify-full")
            .set("OUTBOX_POSTGRES_TLS_ROOT_CERT", root.display())
            .set("REDIS_URL", format!("rediss://localhost:{port}/0"))
            .set("OUTBOX_REDIS_TLS_ROOT_CERT", root.display())
    }))
}

#[tokio::test]
async fn neither_relay_nor_consumer_talks_to_a_server_that_it_should_not_trust() -> Result {
    let (ours, theirs) = (Authority::new()?, Authority::new()?);
    let good = ours.issue("good", "localhost", 2100)?;
    let cases = [
        (
            "for another host",
            ours.issue("elsewhere", "db.example.com", 2100)?,
            ours.file(),
        ),
        ("expired", ours.issue("expired", "localhost", 2020)?, ours.file()),
        ("of an unknown authority", good.clone(), theirs.file()),
    ];
    for (what, (certificate, key), root) in cases {
        // GIVEN servers with a certificate that is not to be trusted
        let (world, port) = world(&certificate, &key, &root).await?;
        for options in both(&world, port, &root).await? {
            // WHEN a process asks for TLS of one of them, and could reach the other
            let plain = world.redis_url().to_owned();
            let of_postgres = options
                .clone()
                .set("REDIS_URL", plain)
                .set("OUTBOX_REDIS_TLS_ROOT_CERT", "");
            let of_redis = options
                .set("OUTBOX_POSTGRES_TLS", "disable")
                .set("OUTBOX_POSTGRES_TLS_ROOT_CERT", "");
            for (server, options) in [("Postgres", of_postgres), ("Redis", of_redis)] {
                let mut process = options.start()?;
                // THEN it does not, and names the server and the certificate
                let said = process.not_ready_because(server).await?;
                let said = if said.contains("certificate") {
                    said
                } else {
                    process.not_ready_because("certificate").await?
                };
                assert!(said.contains(server), "{what}: {said}");
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_server_without_tls_is_not_talked_to_where_tls_is_asked_for() -> Result {
    // GIVEN servers that speak in the clear
    let authority = Authority::new()?;
    let mut world = World::with_own_servers(Default::default(), Default::default()).await?;
    let port = world.redis_server()?.port();
    for options in both(&world, port, &authority.file()).await? {
        let plain = world.redis_url().to_owned();
        let of_postgres = options
            .clone()
            .set("REDIS_URL", plain)
            .set("OUTBOX_REDIS_TLS_ROOT_CERT", "");
        let of_redis = options
            .set("OUTBOX_POSTGRES_TLS", "disable")
            .set("OUTBOX_POSTGRES_TLS_ROOT_CERT", "");
        // WHEN a process asks for TLS, THEN it is not ready, and names the server
        for (server, options) in [("Postgres", of_postgres), ("Redis", of_redis)] {
            options.start()?.not_ready_because(server).await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn certificates_are_replaced_while_relay_and_consumer_run() -> Result {
    // GIVEN a relay and a consumer over TLS that trust an authority and its successor
    let (authority, successor) = (Authority::new()?, Authority::new()?);
    std::fs::write(authority.file(), format!("{}{}", authority.text, successor.text))?;
    let (certificate, key) = authority.issue("first", "localhost", 2100)?;
    let (mut world, port) = world(&certificate, &key, &authority.file()).await?;
    let [relay, consumer] = both(&world, port, &authority.file()).await?;
    let (mut relay, mut consumer) = (relay.start()?, consumer.start()?);
    relay.leads().await?;
    consumer.ready().await?;
    // WHEN both servers get another certificate, of the same authority and then of its successor
    for (n, issuer) in [(1, &authority), (2, &successor)] {
        let (certificate, key) = issuer.issue(&format!("next-{n}"), "localhost", 2100)?;
        let served = world.postgres()?.log_path();
        for (from, to) in [(&certificate, "server.crt"), (&key, "server.key")] {
            // Written in place: whose it is and who may read it stays.
            std::fs::write(served.with_file_name(to), std::fs::read(from)?)?;
        }
        world.postgres()?.reload()?;
        let (certificate, key) = (certificate.display(), key.display());
        let redis = world.redis_server()?;
        redis.command(&format!(
            "CONFIG SET tls-cert-file {certificate} tls-key-file {key}"
        ))?;
        // AND every session ends
        redis.command("CLIENT KILL TYPE normal")?;
        let mut connection = world.connect().await?;
        connection
            .execute("select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'outbox-relay/%'")
            .await?;
        // THEN an event goes all the way over new ones
        connection.execute("select outbox.append('t', '{}')").await?;
        let mut streams = world.redis().await?;
        until("the event is acknowledged", LIMIT, async || {
            let (length, pending): (i64, i64) = redis::pipe()
                .cmd("XLEN")
                .arg("outbox:t")
                .cmd("XPENDING")
                .arg(&["outbox:t", "g"])
                .query_async::<(i64, redis::Value)>(&mut streams)
                .await
                .map(|(length, pending)| (length, i64::from(!matches!(&pending, redis::Value::Array(parts) if parts.first() == Some(&redis::Value::Int(0))))))
                .unwrap_or((0, 1));
            Ok((length == n && pending == 0).then_some(()))
        })
        .await?;
    }
    Ok(())
}
