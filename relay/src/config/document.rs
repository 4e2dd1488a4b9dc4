//! `docs/configuration.md`, made from the definitions.

use std::fmt::Write as _;

use super::Config;
use super::section::Setting;

const HEAD: &str = "# Configuration\n\n\
<!-- Made from the code by `outbox-relay config --document`; a test proves that it is current. -->\n\n\
Each setting is looked for in this order, and the first place that has it wins:\n\n\
1. the flag, such as `--tail-lease-ttl 4s`;\n\
2. the environment variable, such as `OUTBOX_TAIL_LEASE_TTL=4s` (an empty one counts as not set);\n\
3. for secrets, the file named by a flag or by a variable that ends in `_FILE`;\n\
4. the TOML file named by `--config` or `OUTBOX_CONFIG`: `lease_ttl = \"4s\"` in section `[tail]` (for a secret also\n   \
`password_file = \"/run/secrets/redis\"`);\n\
5. the default.\n\n\
Durations carry their unit (`500ms`, `4s`, `5m`, `1h`), sizes may (`65536`, `64 KiB`, `4 MiB`). All problems are reported\n\
at once and end the command with exit code 2. An unknown key in the file is a problem; an unknown variable that looks like\n\
one of these is a warning. `outbox-relay config` prints what is in force and where it came from, without secrets.\n";

/// The page.
#[must_use]
pub fn markdown() -> String {
    let mut page = HEAD.to_owned();
    for (name, doc, settings) in Config::sections() {
        let _ = write!(page, "\n## `[{name}]`\n\n{doc}\n");
        for setting in &settings {
            page.push_str(&entry(setting));
        }
    }
    page
}

fn entry(setting: &Setting) -> String {
    let name = setting.name;
    let mut text = format!("\n### `{}`\n\n{}\n\n", name.key(), setting.doc);
    let ways: Vec<String> = [
        name.flag().map(|flag| format!("`--{flag}`")),
        Some(format!("`{}`", name.variable())),
        name.file_flag().map(|flag| format!("`--{flag}`")),
        name.file_variable().map(|variable| format!("`{variable}`")),
    ]
    .into_iter()
    .flatten()
    .collect();
    let default = match setting.default.as_deref() {
        None => "none".to_owned(),
        Some(default) => format!("`{default}`"),
    };
    let _ = write!(
        text,
        "* Set by {}\n* Must be {}\n* Default: {default}\n",
        ways.join(", "),
        setting.expects
    );
    text
}
