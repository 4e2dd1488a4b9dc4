//! Ways in which a Redis loses what it had confirmed.

use system_tests::arrival::stream_of;
use system_tests::login::equipped;
use system_tests::patience::until;
use system_tests::{Failure, Result};
use xtask::servers::{Redis, RedisOptions};

use crate::scene::{LIMIT, Scene, TOPIC};

/// What happens to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Harm {
    /// Everything is gone, and nobody is disconnected.
    Flush,
    /// The stream is gone, its mark stays.
    Delete,
    /// Its last writes are not on disk when it comes back.
    CutAppendOnlyFile,
    /// It comes back with nothing.
    RestartEmpty,
    /// A replica that was behind takes its place.
    StaleReplica,
    /// The stream is replaced by an older copy, with its groups as they were.
    OlderCopy,
}

/// What has to be there before.
pub(crate) struct Prepared {
    harm: Harm,
    copy: Vec<u8>,
    replica: Option<Redis>,
}

impl Harm {
    /// The server of its own that it needs.
    pub(crate) fn server(self) -> Option<RedisOptions> {
        match self {
            Self::Flush | Self::Delete | Self::OlderCopy => None,
            Self::RestartEmpty => Some(equipped(Redis::options())),
            Self::CutAppendOnlyFile | Self::StaleReplica => Some(equipped(Redis::options()).durable()),
        }
    }

    /// Takes the older copy, while all is well.
    pub(crate) async fn prepare(self, scene: &mut Scene) -> Result<Prepared> {
        let mut prepared = Prepared {
            harm: self,
            copy: Vec::new(),
            replica: None,
        };
        match self {
            Self::OlderCopy => {
                prepared.copy = redis::cmd("DUMP")
                    .arg(stream_of(TOPIC))
                    .query_async(&mut scene.redis)
                    .await?;
            }
            Self::StaleReplica => {
                let replica = equipped(Redis::options())
                    .durable()
                    .replica_of(own(scene)?.port())
                    .start()?;
                let length = scene.entries().await?.len();
                until("the replica follows", LIMIT, async || {
                    let counted = replica.command(&format!("XLEN {}", stream_of(TOPIC)))?;
                    let counted: usize = counted.trim_start_matches(':').parse()?;
                    Ok((counted >= length).then_some(()))
                })
                .await?;
                // From here on it falls behind.
                replica.command("REPLICAOF 127.0.0.1 1")?;
                prepared.replica = Some(replica);
            }
            _ => {}
        }
        Ok(prepared)
    }
}

impl Prepared {
    /// Does it.
    pub(crate) async fn inflict(&self, scene: &mut Scene) -> Result {
        match self.harm {
            Harm::Flush => scene.ask(&["FLUSHDB"]).await,
            Harm::Delete => scene.ask(&["DEL", &stream_of(TOPIC)]).await,
            Harm::OlderCopy => {
                redis::cmd("RESTORE")
                    .arg(stream_of(TOPIC))
                    .arg(0)
                    .arg(&self.copy)
                    .arg("REPLACE")
                    .query_async::<()>(&mut scene.redis)
                    .await?;
                Ok(())
            }
            Harm::RestartEmpty => {
                let server = own(scene)?;
                server.kill()?;
                server.start_again()?;
                scene.reconnect().await
            }
            Harm::CutAppendOnlyFile => {
                let server = own(scene)?;
                server.kill()?;
                cut_newest_file(server)?;
                server.start_again()?;
                scene.reconnect().await
            }
            Harm::StaleReplica => {
                let replica = self.replica.as_ref().ok_or_else(|| Failure::new("no replica"))?;
                replica.promote()?;
                let stale = replica.back_up()?;
                // It takes over the address as well.
                own(scene)?.restore(&stale)?;
                scene.reconnect().await
            }
        }
    }
}

fn own(scene: &mut Scene) -> Result<&mut Redis> {
    scene
        .own
        .as_mut()
        .ok_or_else(|| Failure::new("this scene has no Redis of its own"))
}

/// Takes the last third off the append-only file: the server drops the command in which the cut falls.
fn cut_newest_file(server: &Redis) -> Result {
    let mut folders = vec![server.data()];
    let mut newest = None;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            } else if name.ends_with(".incr.aof") || name == "appendonly.aof" {
                newest = newest.max(Some((entry.metadata()?.modified()?, entry.path())));
            }
        }
    }
    let (_, path) = newest.ok_or_else(|| Failure::new("there is no append-only file"))?;
    let file = std::fs::OpenOptions::new().write(true).open(path)?;
    let length = file.metadata()?.len();
    file.set_len(length * 2 / 3)?;
    Ok(())
}
