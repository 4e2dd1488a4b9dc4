//! How a setting is called: one name for its key, its variable and its flag.

/// How a setting is called, everywhere it can be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name {
    /// The section, named by stage.
    pub section: &'static str,
    /// The name within the section.
    pub field: &'static str,
    /// Never printed, may come from a file, has no flag unless it is a connection URL.
    pub secret: bool,
}

impl Name {
    /// The key in the TOML file.
    #[must_use]
    pub fn key(self) -> String {
        format!("{}.{}", self.section, self.field)
    }

    /// The key that names a file with the value, for secrets.
    #[must_use]
    pub fn file_key(self) -> Option<String> {
        self.secret.then(|| format!("{}_file", self.key()))
    }

    /// The environment variable. Connection URLs go by the names that every tool knows.
    #[must_use]
    pub fn variable(self) -> String {
        match (self.section, self.field) {
            ("postgres", "url") => "DATABASE_URL".to_owned(),
            ("redis", "url") => "REDIS_URL".to_owned(),
            (section, field) => format!("OUTBOX_{section}_{field}").to_uppercase(),
        }
    }

    /// The environment variable that names a file with the value, for secrets.
    #[must_use]
    pub fn file_variable(self) -> Option<String> {
        self.secret.then(|| format!("{}_FILE", self.variable()))
    }

    /// The flag without its dashes. Passwords have none: every process of a machine can read arguments.
    #[must_use]
    pub fn flag(self) -> Option<String> {
        match (self.section, self.field) {
            ("postgres", "url") => Some("database-url".to_owned()),
            ("redis", "url") => Some("redis-url".to_owned()),
            _ if self.secret => None,
            (section, field) => Some(format!("{section}-{field}").replace('_', "-")),
        }
    }

    /// The flag that names a file with the value, for secrets.
    #[must_use]
    pub fn file_flag(self) -> Option<String> {
        let flag = self
            .flag()
            .unwrap_or_else(|| format!("{}-{}", self.section, self.field).replace('_', "-"));
        self.secret.then(|| format!("{flag}-file"))
    }
}
