//! A flag for every setting, made from its definition.

use std::collections::BTreeMap;

use clap::error::ErrorKind;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};

use super::Config;
use super::section::Setting;

/// Flags given on the command line, by name without dashes.
#[derive(Clone, Debug, Default)]
pub struct Flags(pub BTreeMap<String, String>);

/// Shown by `-h`; the rest by `--help`.
const COMMON: &[&str] = &["database-url", "redis-url", "log-level", "log-format"];

impl Args for Flags {
    fn augment_args(command: Command) -> Command {
        let settings = Config::sections()
            .into_iter()
            .flat_map(|(_, _, settings)| settings);
        settings.fold(command, |command, setting| {
            let by_value = setting.name.flag().map(|flag| argument(&setting, flag, false));
            let by_file = setting
                .name
                .file_flag()
                .map(|flag| argument(&setting, flag, true));
            command.args(by_value.into_iter().chain(by_file))
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut flags = Self::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        for (_, _, settings) in Config::sections() {
            for setting in settings {
                for flag in [setting.name.flag(), setting.name.file_flag()]
                    .into_iter()
                    .flatten()
                {
                    let value = matches.try_get_one::<String>(&flag);
                    let value = value.map_err(|error| clap::Error::raw(ErrorKind::InvalidValue, error))?;
                    self.0.extend(value.map(|value| (flag, value.clone())));
                }
            }
        }
        Ok(())
    }
}

fn argument(setting: &Setting, flag: String, by_file: bool) -> Arg {
    let name = setting.name;
    let summary = setting
        .doc
        .split_inclusive(". ")
        .next()
        .unwrap_or_default()
        .trim_end_matches(". ")
        .to_owned();
    let (summary, variable) = match by_file {
        true => (
            format!("File that holds {}", name.key()),
            name.file_variable().unwrap_or_default(),
        ),
        false => (summary, name.variable()),
    };
    let default = setting
        .default
        .as_deref()
        .filter(|default| !default.is_empty() && !by_file);
    let default = default.map_or_else(String::new, |default| format!(", default {default}"));
    Arg::new(flag.clone())
        .long(flag.clone())
        .value_name(if by_file { "PATH" } else { "VALUE" })
        .help(format!("{summary} [{variable}{default}]"))
        .help_heading(format!("Settings: {}", name.section))
        .hide_short_help(!COMMON.contains(&flag.as_str()))
        .global(true)
}
