//! A password that does not work is in nothing that is said about it.

use system_tests::patience::until;
use system_tests::{Invocation, Relay, Result};

use super::{CANARY, Ground, LIMIT, POSTGRES_PASSWORD, REDIS_PASSWORD, is_silent};

const WRONG_PASSWORD: &str = "canary-that-is-wrong";

#[tokio::test]
async fn no_password_is_in_what_is_said_about_one_that_does_not_work() -> Result {
    let ground = Ground::new().await?;
    let good_postgres = ground.postgres(&format!("service:{POSTGRES_PASSWORD}"));
    let good_redis = ground.redis(&format!("service:{REDIS_PASSWORD}"));
    // GIVEN wrong passwords, users that are none, and addresses that cannot be read
    let cases = [
        (
            "DATABASE_URL",
            ground.postgres(&format!("service:{WRONG_PASSWORD}")),
        ),
        (
            "DATABASE_URL",
            ground.postgres(&format!("nobody:{WRONG_PASSWORD}")),
        ),
        (
            "DATABASE_URL",
            format!("postgres://service:{WRONG_PASSWORD}@127.0.0.1:notaport/d"),
        ),
        (
            "DATABASE_URL",
            format!("postgres://service:{WRONG_PASSWORD}@127.0.0.1:1/d?sslmode=odd"),
        ),
        (
            "DATABASE_URL",
            format!("host=127.0.0.1 password={WRONG_PASSWORD} port=x"),
        ),
        ("DATABASE_URL", format!("service:{WRONG_PASSWORD}@nowhere")),
        ("REDIS_URL", ground.redis(&format!("service:{WRONG_PASSWORD}"))),
        ("REDIS_URL", ground.redis(&format!("nobody:{WRONG_PASSWORD}"))),
        (
            "REDIS_URL",
            format!("redis://service:{WRONG_PASSWORD}@127.0.0.1:notaport/0"),
        ),
        (
            "REDIS_URL",
            format!("redis://service:{WRONG_PASSWORD}@127.0.0.1:1/notadatabase"),
        ),
        ("REDIS_URL", WRONG_PASSWORD.to_owned()),
    ];
    for (variable, url) in cases {
        // WHEN commands use them
        for arguments in [&["check"][..], &["status"], &["config"], &["topic", "list"]] {
            let answer = Invocation::new(arguments)?
                .set("DATABASE_URL", &good_postgres)
                .set("REDIS_URL", &good_redis)
                .set("OUTBOX_LOG_LEVEL", "trace")
                .set(variable, &url)
                .ask()?;
            // THEN what they complain of has no password in it
            let told = format!("{}{}", answer.output, answer.errors);
            is_silent(
                &format!("{arguments:?} with {variable} {}", url.replace(CANARY, "…")),
                &told,
            );
        }
    }
    // AND a relay that tries again and again says none either
    for (variable, url) in [
        (
            "DATABASE_URL",
            ground.postgres(&format!("service:{WRONG_PASSWORD}")),
        ),
        ("REDIS_URL", ground.redis(&format!("service:{WRONG_PASSWORD}"))),
    ] {
        let mut relay = Relay::of(&ground.world)
            .set("DATABASE_URL", &good_postgres)
            .set("REDIS_URL", &good_redis)
            .set("OUTBOX_LOG_LEVEL", "trace")
            .set(variable, url)
            .start()?;
        let said = until("a cause", LIMIT, async || {
            let body = relay.not_ready().await?;
            Ok(body["cause"].as_str().map(str::to_owned))
        })
        .await?;
        is_silent("/readyz", &said);
        is_silent("the log", &relay.log());
        assert_eq!(relay.terminate().await?.code(), Some(0));
    }
    Ok(())
}
