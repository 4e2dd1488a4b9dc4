//! Golden files: what was ever written can still be read, for the tests of a service.
//!
//! A folder has one file per type and version, `<type>.v<version>.json`, with the data of an event as it was written then.
//!
//! ```no_run
//! # use outbox_core::event_store::typed::{EventType, TypedEvent, golden};
//! # #[derive(serde::Serialize, serde::Deserialize)]
//! # #[serde(tag = "type", content = "data")]
//! # enum OrderEvent { #[serde(rename = "order.paid")] Paid { cents: u64 } }
//! # impl TypedEvent for OrderEvent { const TYPES: &'static [EventType] = &[EventType::new("order.paid", 1)]; }
//! #[test]
//! fn what_was_written_is_still_read() {
//!     golden::check("tests/golden", &[OrderEvent::Paid { cents: 1250 }]);
//! }
//! ```
//!
//! Invariants: a file that is there is never changed, by nothing here. `UPDATE=1` writes those that are missing for the versions
//! that are written today, from the examples.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use super::decoder::Decoder;
use super::encode::encode;
use super::event_type::TypedEvent;

/// Where data of an event without data is written down.
const NO_DATA: &str = "";

/// Reads every file of the folder, and looks whether there is one for every type and version that the program knows. With
/// `UPDATE=1` in the environment, files of current versions that are missing are written from these examples.
///
/// # Panics
/// When a file cannot be read as an event, or is missing: with a list of all of them.
pub fn check<E: TypedEvent>(folder: impl AsRef<Path>, examples: &[E]) {
    let may_write = env::var_os("UPDATE").is_some_and(|value| value == OsStr::new("1"));
    let faults = faults(folder.as_ref(), examples, may_write);
    assert!(
        faults.is_empty(),
        "golden files in {}:\n  {}",
        folder.as_ref().display(),
        faults.join("\n  ")
    );
}

/// Everything that is wrong, after what may be written was written.
fn faults<E: TypedEvent>(folder: &Path, examples: &[E], may_write: bool) -> Vec<String> {
    let decoder = match Decoder::<E>::new() {
        Ok(decoder) => decoder,
        Err(incoherent) => return vec![incoherent.to_string()],
    };
    let mut faults = Vec::new();
    let examples = told(examples, &mut faults);
    if may_write && let Err(error) = write_missing::<E>(folder, &examples) {
        faults.push(format!("cannot be written: {error}"));
    }
    let files = match read(folder) {
        Ok(files) => files,
        Err(error) => {
            faults.push(format!("cannot be read: {error}"));
            return faults;
        }
    };
    for ((name, version), text) in &files {
        let data = (text.trim() != NO_DATA).then_some(text.as_str());
        if let Err(fault) = decoder.decode_data(name, Some(&version.to_string()), data) {
            faults.push(format!(
                "{}: {fault}. {}",
                file_name(name, *version),
                fault.advice()
            ));
        }
    }
    for (name, version) in decoder.known() {
        if files.contains_key(&(name.clone(), version)) {
            continue;
        }
        let is_current = E::TYPES
            .iter()
            .any(|known| known.name == name && known.version == version);
        let what = match (is_current, examples.contains_key(&name)) {
            (true, true) => "run the test with UPDATE=1 to write it from its example",
            (true, false) => "give an example of this type, and run the test with UPDATE=1",
            (false, _) => "take it from what is stored, or from an older commit",
        };
        faults.push(format!("{} is missing: {what}", file_name(&name, version)));
    }
    faults
}

/// The data of the examples by type.
fn told<E: TypedEvent>(examples: &[E], faults: &mut Vec<String>) -> BTreeMap<String, String> {
    let mut by_type = BTreeMap::new();
    for example in examples {
        match encode(example) {
            Ok(event) => {
                let (name, _, data) = event.told();
                by_type
                    .entry(name.to_owned())
                    .or_insert_with(|| data.unwrap_or(NO_DATA).to_owned());
            }
            Err(error) => faults.push(format!("an example: {error}")),
        }
    }
    by_type
}

/// One file of each current version, if it is not there: an older one is left as it is, whatever the example says.
fn write_missing<E: TypedEvent>(folder: &Path, examples: &BTreeMap<String, String>) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for known in E::TYPES {
        let Some(data) = examples.get(known.name) else {
            continue;
        };
        let path = folder.join(file_name(known.name, known.version));
        match fs::File::create_new(path) {
            Ok(mut file) => writeln!(file, "{data}")?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The files of a folder by type and version. Others have other names.
fn read(folder: &Path) -> io::Result<BTreeMap<(String, u32), String>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(place) = name.to_str().and_then(place_of) else {
            continue;
        };
        files.insert(place, fs::read_to_string(entry.path())?);
    }
    Ok(files)
}

fn file_name(name: &str, version: u32) -> String {
    format!("{name}.v{version}.json")
}

fn place_of(file_name: &str) -> Option<(String, u32)> {
    let (name, version) = file_name.strip_suffix(".json")?.rsplit_once(".v")?;
    Some((name.to_owned(), version.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::event_store::typed::{EventType, Upcasters};

    #[derive(Serialize, Deserialize)]
    #[serde(tag = "type", content = "data")]
    enum Order {
        #[serde(rename = "order.paid")]
        Paid { cents: u64 },
        #[serde(rename = "order.closed")]
        Closed,
    }

    impl TypedEvent for Order {
        const TYPES: &'static [EventType] =
            &[EventType::new("order.paid", 2), EventType::new("order.closed", 1)];

        fn upcasters() -> Upcasters {
            Upcasters::none().upcast("order.paid", 1, |data| {
                let euros = data["euros"].as_u64().ok_or("no euros")?;
                Ok(serde_json::json!({ "cents": euros * 100 }))
            })
        }
    }

    const EXAMPLES: [Order; 2] = [Order::Paid { cents: 5 }, Order::Closed];

    #[test]
    fn a_missing_file_fails_and_update_writes_only_what_is_current_and_missing() {
        let folder = Folder::new();
        let before = faults::<Order>(&folder.path, &EXAMPLES, false);
        assert_eq!(before.len(), 1, "no folder: {before:?}");
        let after = faults::<Order>(&folder.path, &EXAMPLES, true);
        assert_eq!(after.len(), 1, "{after:?}");
        assert!(
            after[0].contains("order.paid.v1.json is missing") && after[0].contains("older commit"),
            "{after:?}"
        );
        folder.write("order.paid.v1.json", r#"{"euros":1}"#);
        assert_eq!(
            faults::<Order>(&folder.path, &EXAMPLES, false),
            Vec::<String>::new()
        );
        assert_eq!(folder.read("order.paid.v2.json"), "{\"cents\":5}\n");
        assert_eq!(folder.read("order.closed.v1.json"), "\n");

        folder.write("order.paid.v2.json", r#"{"cents":77}"#);
        assert_eq!(
            faults::<Order>(&folder.path, &EXAMPLES, true),
            Vec::<String>::new()
        );
        assert_eq!(
            folder.read("order.paid.v2.json"),
            r#"{"cents":77}"#,
            "an old file is never changed"
        );
    }

    #[test]
    fn a_file_that_is_no_event_any_more_is_named() {
        let folder = Folder::new();
        assert_eq!(faults::<Order>(&folder.path, &EXAMPLES, true).len(), 1);
        folder.write("order.paid.v1.json", r#"{"pounds":1}"#);
        folder.write("order.paid.v3.json", r#"{"cents":1}"#);
        folder.write("order.lost.v1.json", "{}");
        folder.write("README.md", "not one of them");
        let faults = faults::<Order>(&folder.path, &[], false);
        assert_eq!(faults.len(), 3, "{faults:?}");
        for part in [
            "order.paid.v1.json: the upcaster",
            "order.paid.v3.json: this program knows it up to version 2",
            "order.lost.v1.json: this program knows no",
        ] {
            assert!(
                faults.iter().any(|fault| fault.starts_with(part)),
                "{part}: {faults:?}"
            );
        }
    }

    struct Folder {
        path: std::path::PathBuf,
    }

    impl Folder {
        fn new() -> Self {
            let path = env::temp_dir().join(format!("golden-{}", uuid::Uuid::now_v7()));
            Self { path }
        }

        fn write(&self, name: &str, text: &str) {
            fs::write(self.path.join(name), text).expect("written");
        }

        fn read(&self, name: &str) -> String {
            fs::read_to_string(self.path.join(name)).expect("there")
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            // What is left of a failed test is in the system's folder for such things.
            fs::remove_dir_all(&self.path).ok();
        }
    }
}
