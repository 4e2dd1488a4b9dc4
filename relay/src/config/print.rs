//! What is in force, for people and for programs. A secret is only said to be set.

use serde::Serialize;

use super::Config;

/// One setting as it is in force.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// The key in the TOML file.
    pub key: String,
    /// The value; nothing when it is absent or secret.
    pub value: Option<String>,
    /// Whether it is a secret, of which only `origin` tells that it is set.
    pub secret: bool,
    /// The flag, variable or key that set it; nothing for a default.
    pub origin: Option<String>,
}

/// Every setting, in the order of the documentation.
#[must_use]
pub fn lines(config: &Config) -> Vec<Line> {
    let settings = Config::sections()
        .into_iter()
        .flat_map(|(_, _, settings)| settings);
    let line = |(setting, value): (super::section::Setting, Option<String>)| {
        let key = setting.name.key();
        Line {
            value,
            secret: setting.name.secret,
            origin: config.origins.get(&key).cloned(),
            key,
        }
    };
    settings.zip(config.shown()).map(line).collect()
}
