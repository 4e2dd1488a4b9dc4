//! A number of the page, with where it is from.

/// Where a number is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// A median of this file of docs/benchmarks.
    Measured { file: &'static str, is_quick: bool },
    /// The file is not there: what was seen when the project began stands in.
    StandIn { file: &'static str },
    /// A default of the code.
    Code(&'static str),
    /// Taken for granted, and why.
    Assumed(&'static str),
}

/// One number.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Quantity {
    pub(super) what: &'static str,
    pub(super) unit: &'static str,
    pub(super) value: f64,
    pub(super) source: Source,
}

impl Source {
    /// As the page says it.
    pub(super) fn told(&self) -> String {
        match self {
            Self::Measured { file, is_quick } => {
                let quick = if *is_quick { ", of a quick run" } else { "" };
                format!("measured: [{file}.json]({file}.json){quick}")
            }
            Self::StandIn { file } => format!(
                "**not measured yet**: `{file}.json` has it when `cargo xtask bench {file}` was run; a figure of the project's beginning stands in"
            ),
            Self::Code(place) => format!("default: {place}"),
            Self::Assumed(why) => format!("assumed: {why}"),
        }
    }
}
