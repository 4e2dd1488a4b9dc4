//! The expectations of `matrix.txt`: one line per object, `kind name: role=verbs …`, `-` for nobody.

use std::collections::{BTreeMap, BTreeSet};

use system_tests::{Failure, Result};

use crate::ground::ROLES;

/// What each role may do with each object. The owner of all is `outbox_maintainer`, who may everything and is not in it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Matrix {
    pub(crate) lines: BTreeMap<String, Rights>,
}

/// Verbs by role; verbs of some columns only are `update(a+b)`.
pub(crate) type Rights = BTreeMap<String, BTreeSet<String>>;

impl Matrix {
    /// Of the file beside this one.
    pub(crate) fn read() -> Result<Self> {
        let mut lines = BTreeMap::new();
        for line in include_str!("matrix.txt").lines() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let wrong = || Failure::new(format!("matrix.txt: no `kind name: role=verbs …`: {line}"));
            let (object, rights) = line.split_once(": ").ok_or_else(wrong)?;
            let mut by_role = Rights::new();
            for right in rights.split(' ').filter(|right| *right != "-") {
                let (role, verbs) = right.split_once('=').ok_or_else(wrong)?;
                if !ROLES.contains(&role) {
                    return Err(Failure::new(format!("matrix.txt: no role {role}: {line}")));
                }
                by_role.insert(role.to_owned(), verbs.split(',').map(str::to_owned).collect());
            }
            if lines.insert(object.to_owned(), by_role).is_some() {
                return Err(Failure::new(format!("matrix.txt: twice: {object}")));
            }
        }
        Ok(Self { lines })
    }

    /// Every line that is not as in the other, as it should be read.
    pub(crate) fn differences(&self, found: &Self) -> Vec<String> {
        let objects: BTreeSet<&String> = self.lines.keys().chain(found.lines.keys()).collect();
        let mut differences = Vec::new();
        for object in objects {
            match (self.lines.get(object), found.lines.get(object)) {
                (Some(expected), Some(seen)) if expected == seen => {}
                (Some(expected), Some(seen)) => differences.push(format!(
                    "{object}: expected {}, found {}",
                    written(expected),
                    written(seen)
                )),
                (Some(_), None) => differences.push(format!("{object}: expected, and not there")),
                (None, seen) => differences.push(format!(
                    "no expectation for this object: {object}: {}",
                    seen.map_or_else(String::new, written)
                )),
            }
        }
        differences
    }
}

/// As in the file.
pub(crate) fn written(rights: &Rights) -> String {
    let words: Vec<String> = rights
        .iter()
        .filter(|(_, verbs)| !verbs.is_empty())
        .map(|(role, verbs)| {
            let verbs: Vec<&str> = verbs.iter().map(String::as_str).collect();
            format!("{role}={}", verbs.join(","))
        })
        .collect();
    if words.is_empty() {
        "-".to_owned()
    } else {
        words.join(" ")
    }
}
