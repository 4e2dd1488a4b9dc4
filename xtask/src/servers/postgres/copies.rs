//! Other servers with the same history: standbys, copies beside it, older copies in its place.

use std::fs;
use std::path::Path;

use super::{Postgres, PostgresOptions, Stop};
use crate::servers::backup::Backup;
use crate::servers::error::{Error, Result};
use crate::servers::folder;

impl Postgres {
    /// Makes a streaming standby of this server and starts it: a base backup that follows what is written from now on.
    /// `through`: the port it reads from, this server's own or that of something in between.
    ///
    /// # Errors
    /// When the backup cannot be taken or the standby does not start: the error has the tail of its log.
    pub fn standby(&self, through: u16, options: PostgresOptions) -> Result<Self> {
        Self::standby_of(self.port, through, options)
    }

    /// The same of the server on this port, for whoever does not hold its value.
    ///
    /// # Errors
    /// As `standby`.
    pub fn standby_of(primary: u16, through: u16, options: PostgresOptions) -> Result<Self> {
        let mut standby = Self::prepare(options.lifetime)?;
        standby.copy(primary, &standby.data())?;
        standby.settle_in(&options)?;
        standby.configure(
            "primary_conninfo",
            format!("host=127.0.0.1 port={through} user=postgres application_name=standby"),
        )?;
        folder::write(&standby.data().join("standby.signal"), "", standby.account)?;
        standby.start_again()?;
        Ok(standby)
    }

    /// Makes a copy of this server beside it, with its history: two servers that say the same of themselves.
    ///
    /// # Errors
    /// When it cannot be copied or the copy does not start.
    pub fn copy_beside(&self, options: PostgresOptions) -> Result<Self> {
        let mut copy = Self::prepare(options.lifetime)?;
        self.copy_to(&copy.data())?;
        copy.settle_in(&options)?;
        copy.start_again()?;
        Ok(copy)
    }

    /// A base backup of the running server, to be restored later.
    ///
    /// # Errors
    /// When it cannot be taken.
    pub fn back_up(&self) -> Result<Backup> {
        let backup = Backup::room("postgres-backup", self.account)?;
        self.copy_to(&backup.data())?;
        Ok(backup)
    }

    fn copy_to(&self, to: &Path) -> Result<()> {
        self.copy(self.port, to)
    }

    /// A base backup of the server on a port.
    fn copy(&self, from: u16, to: &Path) -> Result<()> {
        let port = from.to_string();
        self.run_tool("pg_basebackup", to, |command| {
            command.args(["-h", "127.0.0.1", "-p", &port, "-U", "postgres"]);
            command.args(["-X", "stream", "-c", "fast", "--no-sync"]);
        })
    }

    /// Crashes it, puts an older copy in the place of its data and starts that on the same port.
    ///
    /// # Errors
    /// When the copy cannot be put there or does not start.
    pub fn restore(&mut self, backup: &Backup) -> Result<()> {
        self.stop(Stop::Immediate)?;
        backup.put_in_place_of(&self.data())?;
        self.start_again()
    }

    /// Crashes it, puts an older copy in the place of its data and recovers from there with these settings (a target, and where
    /// the write-ahead log was archived), on the same port. Ready once it takes writes.
    ///
    /// # Errors
    /// When the copy cannot be put there, or does not come to its target.
    pub fn recover_to(&mut self, backup: &Backup, settings: &[(&str, &str)]) -> Result<()> {
        self.stop(Stop::Immediate)?;
        backup.put_in_place_of(&self.data())?;
        for (name, value) in settings {
            self.configure(name, value)?;
        }
        folder::write(&self.data().join("recovery.signal"), "", self.account)?;
        self.start_again()
    }

    /// Makes a standby the primary, and waits until it takes writes.
    ///
    /// # Errors
    /// When it is no standby, or does not come to an end with what it has.
    pub fn promote(&mut self) -> Result<()> {
        self.run_tool("pg_ctl", &self.data(), |command| {
            command.args(["promote", "-w", "-t", "60"]);
        })
    }

    /// Starts it again as a standby that waits for a primary which never answers: reads are served, nothing is written.
    ///
    /// # Errors
    /// As `stop` and `start_again`, or when the signal file cannot be written.
    pub fn restart_as_standby(&mut self) -> Result<()> {
        self.stop(Stop::Fast)?;
        fs::write(self.data().join("standby.signal"), "").map_err(Error::io("write standby.signal"))?;
        self.start_again()
    }
}
