//! The real binary asked one question: exit code, what it says, what it complains of.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::{Login, Result, World, relay};

/// A command line being put together.
#[derive(Debug)]
pub struct Invocation {
    command: Command,
    settings: Vec<(String, String)>,
    login: Login,
}

/// How it ended.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The exit code; -1 when a signal ended it.
    pub code: i32,
    /// Standard output.
    pub output: String,
    /// Standard error.
    pub errors: String,
}

impl Invocation {
    /// The binary with these arguments and no settings but those given.
    ///
    /// # Errors
    /// When the binary is missing or older than its sources.
    pub fn new(arguments: &[&str]) -> Result<Self> {
        let mut command = Command::new(relay::binary()?);
        for (name, _) in std::env::vars_os() {
            let is_setting = name.to_string_lossy().starts_with("OUTBOX_")
                || name == "DATABASE_URL"
                || name == "REDIS_URL";
            if is_setting {
                command.env_remove(name);
            }
        }
        let login = Login::of_command(arguments);
        let arguments = arguments.iter().map(|argument| login.database_url(argument));
        command.args(arguments).stdin(Stdio::null());
        Ok(Self {
            command,
            settings: Vec::new(),
            login,
        })
    }

    /// With other rights than those of its work, and why is said where this is called.
    #[must_use]
    pub fn login(mut self, login: Login) -> Self {
        self.login = login;
        self
    }

    /// The same between the two ends of a world.
    ///
    /// # Errors
    /// When the binary is missing or older than its sources.
    pub fn of(world: &World, arguments: &[&str]) -> Result<Self> {
        let ends = Self::new(arguments)?;
        Ok(ends
            .set("DATABASE_URL", world.database_url())
            .set("REDIS_URL", world.redis_url()))
    }

    /// A setting, as an environment variable.
    #[must_use]
    pub fn set(mut self, variable: &str, value: impl ToString) -> Self {
        self.settings.push((variable.to_owned(), value.to_string()));
        self
    }

    /// Asks and waits for the end.
    ///
    /// # Errors
    /// When it does not start.
    pub fn ask(mut self) -> Result<Answer> {
        self.command.envs(self.login.settings(&self.settings));
        let ended = self.command.output()?;
        Ok(Answer {
            code: ended.status.code().unwrap_or(-1),
            output: String::from_utf8(ended.stdout)?,
            errors: String::from_utf8(ended.stderr)?,
        })
    }
}

impl Answer {
    /// Standard output as JSON.
    ///
    /// # Errors
    /// When it is not.
    pub fn json(&self) -> Result<Value> {
        Ok(serde_json::from_str(&self.output)?)
    }
}
