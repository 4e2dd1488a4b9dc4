//! Redis: a client, and connections that fail instead of reconnecting.

use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::io::tcp::socket2::TcpKeepalive;
use redis::{AsyncConnectionConfig, Client, ConnectionInfo, IntoConnectionInfo, TlsCertificates};
use secrecy::ExposeSecret;

use super::{Error, KEEPALIVE, KEEPALIVE_RETRIES, UNACKNOWLEDGED};
use crate::config::Config;

const ADVICE: &str = "check REDIS_URL, user and password, that the server runs, and the network between; \
                      `outbox-relay check` looks at each";

/// A client; it does not connect yet.
///
/// # Errors
/// The URL or the root certificate cannot be understood.
pub fn redis(config: &Config) -> Result<Client, Error> {
    let settings = &config.redis;
    let refused = |what: String| Error {
        target: "Redis".to_owned(),
        what,
        advice: ADVICE,
    };
    let url = settings
        .url
        .as_ref()
        .ok_or_else(|| refused("REDIS_URL is not set".to_owned()))?;
    // The driver's error may quote the URL, so it is not passed on.
    let unclear = |_| refused("REDIS_URL is not a URL such as redis://host:6379/0".to_owned());
    let info = url.expose_secret().into_connection_info().map_err(unclear)?;
    let mut login = info.redis_settings().clone();
    if let Some(username) = &settings.username {
        login = login.set_username(username);
    }
    if let Some(password) = &settings.password {
        login = login.set_password(password.expose_secret());
    }
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE)
        .with_interval(KEEPALIVE)
        .with_retries(KEEPALIVE_RETRIES);
    let tcp = TcpSettings::default()
        .set_nodelay(true)
        .set_keepalive(keepalive)
        .set_user_timeout(UNACKNOWLEDGED);
    let info = info.set_redis_settings(login).set_tcp_settings(tcp);
    open(info, config).map_err(refused)
}

fn open(info: ConnectionInfo, config: &Config) -> Result<Client, String> {
    let Some(path) = &config.redis.tls_root_cert else {
        return Client::open(info).map_err(|error| describe(&error));
    };
    if !matches!(info.addr(), redis::ConnectionAddr::TcpTls { .. }) {
        return Err("redis.tls_root_cert is set but the URL does not begin with rediss://".to_owned());
    }
    let root =
        std::fs::read(path).map_err(|error| format!("root certificate {}: {error}", path.display()))?;
    let certificates = TlsCertificates {
        client_tls: None,
        root_cert: Some(root),
    };
    Client::build_with_tls(info, certificates).map_err(|error| describe(&error))
}

/// One connection, with the timeouts of the configuration. It does not reconnect.
///
/// # Errors
/// The server cannot be reached or does not let us in.
pub async fn redis_connection(config: &Config) -> Result<MultiplexedConnection, Error> {
    let client = redis(config)?;
    let target = format!("Redis at {}", client.get_connection_info().addr());
    let limits = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(config.redis.connect_timeout))
        .set_response_timeout(Some(config.redis.response_timeout));
    let connected = client.get_multiplexed_async_connection_with_config(&limits).await;
    connected.map_err(|error| Error {
        target,
        what: describe(&error),
        advice: ADVICE,
    })
}

fn describe(error: &redis::RedisError) -> String {
    match (error.code(), error.detail()) {
        (Some(code), Some(detail)) => format!("{code} {detail}"),
        _ => super::chain(error),
    }
}
