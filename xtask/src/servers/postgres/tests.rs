use std::process::Command;
use std::time::{Duration, Instant};

use super::{Postgres, Stop};
use crate::servers::{Error, PgBouncer};

/// The first line of what psql says.
fn ask(server: &Postgres, sql: &str) -> Result<String, Error> {
    let output = Command::new(server.programs.join("psql"))
        .args([&server.url("postgres"), "-XAtqc", sql])
        .output()
        .map_err(Error::io("start psql"))?;
    if !output.status.success() {
        return Err(Error::new(String::from_utf8_lossy(&output.stderr)));
    }
    let said = String::from_utf8_lossy(&output.stdout);
    Ok(said.lines().next().unwrap_or_default().to_owned())
}

/// Asks until that is the answer: nothing announces what a standby has.
fn until(server: &Postgres, sql: &str, answer: &str) -> Result<(), Error> {
    let deadline = Instant::now() + Duration::from_secs(30);
    while ask(server, sql)? != answer {
        if Instant::now() > deadline {
            return Err(Error::new(format!("{sql} never gave {answer}")));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

#[test]
fn a_standby_follows_and_is_promoted_and_an_older_copy_is_older() -> Result<(), Error> {
    let mut server = Postgres::options().start()?;
    ask(&server, "create table t as select 1 as n")?;
    let backup = server.back_up()?;
    let mut standby = server.standby(server.port(), Postgres::options())?;
    ask(&server, "insert into t values (2)")?;
    until(&standby, "select count(*) from t", "2")?;
    assert!(ask(&standby, "insert into t values (3)").is_err());
    standby.promote()?;
    ask(&standby, "insert into t values (3)")?;
    server.pause()?;
    server.resume()?;
    assert_eq!(ask(&server, "select count(*) from t")?, "2");
    server.restore(&backup)?;
    assert_eq!(ask(&server, "select count(*) from t")?, "1");
    Ok(())
}

#[test]
fn a_crashed_server_comes_back_on_its_port_and_a_dropped_one_leaves_nothing() -> Result<(), Error> {
    let mut server = Postgres::options().set("max_prepared_transactions", 10).start()?;
    let (port, folder) = (server.port(), server.process.folder().to_owned());
    let pooler = PgBouncer::start(&server, 5)?;
    assert!(pooler.url("postgres").starts_with("postgres://"));
    server.restart(Stop::Immediate)?;
    server.kill()?;
    server.start_again()?;
    assert_eq!(server.port(), port);
    drop(pooler);
    drop(server);
    assert!(!folder.exists(), "{} is still there", folder.display());
    Ok(())
}
