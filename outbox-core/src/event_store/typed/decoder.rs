//! Pure: what is stored as a value of an enum.

use std::collections::BTreeSet;
use std::fmt;
use std::marker::PhantomData;

use serde_json::Value;

use super::event_type::TypedEvent;
use super::unreadable::{Fault, Unreadable};
use super::upcast::{Step, Upcasters};
use crate::event::{Data, without_content};
use crate::event_store::StoredEvent;
use crate::event_store::forget::{Opened, is_sealed};

/// A step, and the type and version that it begins from.
type Begun<'a> = ((String, u32), &'a Step);

/// Reads what is stored as values of `E`.
pub struct Decoder<E> {
    upcasters: Upcasters,
    events: PhantomData<fn() -> E>,
}

/// Types and upcasters that do not fit together: some of what is stored could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incoherent {
    /// Everything that is wrong.
    pub faults: Vec<String>,
}

impl<E: TypedEvent> Decoder<E> {
    /// With the upcasters of `E`.
    ///
    /// # Errors
    /// When they do not fit its types: a version without an upcaster, one that leads nowhere, two from one place.
    pub fn new() -> Result<Self, Incoherent> {
        let upcasters = E::upcasters();
        let faults = incoherent::<E>(&upcasters);
        if !faults.is_empty() {
            return Err(Incoherent { faults });
        }
        Ok(Self {
            upcasters,
            events: PhantomData,
        })
    }

    /// The value of a stored event that is not sealed.
    ///
    /// # Errors
    /// When the program does not know its type or version, or its data is not of that shape.
    pub fn decode(&self, stored: &StoredEvent) -> Result<E, Box<Unreadable>> {
        let event = &stored.event;
        let data = match &event.data {
            None => None,
            Some(Data::Json(raw)) => Some(raw.get()),
            Some(_) if is_sealed(event) => return Err(Unreadable::of(stored, Fault::Sealed)),
            Some(_) => return Err(Unreadable::of(stored, Fault::NotJson)),
        };
        self.decode_data(&event.r#type, event.schema_version.as_deref(), data)
            .map_err(|fault| Unreadable::of(stored, fault))
    }

    /// The value of an event that may have been sealed. Of a forgotten one it is what [`TypedEvent::forgotten`] says.
    ///
    /// # Errors
    /// As [`Decoder::decode`], and when nothing stands for a forgotten one.
    pub fn decode_opened(&self, opened: &Opened) -> Result<E, Box<Unreadable>> {
        let stored = opened.stored();
        if !opened.is_forgotten() {
            return self.decode(stored);
        }
        let event = &stored.event;
        version_of(event.schema_version.as_deref())
            .and_then(|version| self.chain(&event.r#type, version))
            .and_then(|(name, _)| E::forgotten(&name).ok_or(Fault::Forgotten))
            .map_err(|fault| Unreadable::of(stored, fault))
    }

    /// The value of this type, version (absent: 1) and JSON.
    ///
    /// # Errors
    /// As [`Decoder::decode`].
    pub fn decode_data(
        &self,
        name: &str,
        schema_version: Option<&str>,
        data: Option<&str>,
    ) -> Result<E, Fault> {
        let (current, steps) = self.chain(name, version_of(schema_version)?)?;
        if steps.is_empty() {
            return value_of(&current, data);
        }
        let mut value: Value = serde_json::from_str(data.unwrap_or("null")).map_err(|_| Fault::NotJson)?;
        for ((name, version), step) in steps {
            value = (step.change)(value).map_err(|said| Fault::Upcast { name, version, said })?;
        }
        value_of(&current, Some(&value.to_string()))
    }

    /// The type that is written today, and the steps that lead to it, each with where it begins.
    fn chain(&self, name: &str, version: u32) -> Result<(String, Vec<Begun<'_>>), Fault> {
        let (mut name, mut version) = (name.to_owned(), version);
        let mut steps = Vec::new();
        // It has no circle: a decoder with one is not made.
        while !E::TYPES
            .iter()
            .any(|known| known.name == name && known.version == version)
        {
            let Some(step) = self.upcasters.step(&name, version) else {
                return Err(self.unknown(name, version));
            };
            steps.push(((name, version), step));
            (name, version) = step.to.clone();
        }
        Ok((name, steps))
    }

    /// What is wrong with a version that is neither current nor where a step begins.
    fn unknown(&self, name: String, version: u32) -> Fault {
        let current = E::TYPES
            .iter()
            .find(|known| known.name == name)
            .map(|known| known.version);
        match current.max(self.upcasters.last_version(&name)) {
            None => Fault::UnknownType,
            Some(known) if version > known => Fault::TooNew { known },
            Some(_) => Fault::NoUpcaster { name, version },
        }
    }

    /// Every type and version that can be read, in order.
    #[must_use]
    pub fn known(&self) -> BTreeSet<(String, u32)> {
        let current = E::TYPES.iter().map(|known| (known.name, known.version));
        self.upcasters
            .places()
            .chain(current)
            .map(|(name, version)| (name.to_owned(), version))
            .collect()
    }
}

fn version_of(schema_version: Option<&str>) -> Result<u32, Fault> {
    match schema_version.unwrap_or("1").parse::<u32>() {
        Ok(version) if version > 0 => Ok(version),
        _ => Err(Fault::NoVersion),
    }
}

/// The variant of this name with this data.
fn value_of<E: TypedEvent>(name: &str, data: Option<&str>) -> Result<E, Fault> {
    let mut tagged = format!("{{\"type\":{}", Value::from(name));
    if let Some(data) = data {
        tagged.push_str(",\"data\":");
        tagged.push_str(data);
    }
    tagged.push('}');
    serde_json::from_str(&tagged).map_err(|error| Fault::Shape {
        said: without_content(&error),
    })
}

/// Everything that is wrong with types and upcasters together.
fn incoherent<E: TypedEvent>(upcasters: &Upcasters) -> Vec<String> {
    let mut faults = Vec::new();
    let current = |name: &str| {
        E::TYPES
            .iter()
            .find(|known| known.name == name)
            .map(|known| known.version)
    };
    let mut seen = BTreeSet::new();
    for known in E::TYPES {
        if !seen.insert(known.name) {
            faults.push(format!("TYPES name {} twice", known.name));
        }
        if known.version == 0 {
            faults.push(format!("{} has version 0: versions begin with 1", known.name));
        }
        for version in (1..known.version).filter(|version| upcasters.step(known.name, *version).is_none()) {
            faults.push(format!("{} version {version} has no upcaster", known.name));
        }
    }
    for (name, version) in upcasters.twice() {
        faults.push(format!("{name} version {version} has two upcasters"));
    }
    for (name, version) in upcasters.places() {
        if version == 0 || current(name).is_some_and(|current| version >= current) {
            faults.push(format!(
                "the upcaster from {name} version {version} is not from an older version"
            ));
            continue;
        }
        let mut place = (name.to_owned(), version);
        for _ in 0..=upcasters.len() {
            match upcasters.step(&place.0, place.1) {
                Some(step) => place = step.to.clone(),
                None => break,
            }
        }
        if current(&place.0) != Some(place.1) {
            faults.push(format!(
                "{name} version {version} is led to {} version {}, which is not among TYPES",
                place.0, place.1
            ));
        }
    }
    faults
}

impl<E> Clone for Decoder<E> {
    fn clone(&self) -> Self {
        Self {
            upcasters: self.upcasters.clone(),
            events: PhantomData,
        }
    }
}

impl<E> fmt::Debug for Decoder<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder")
            .field("upcasters", &self.upcasters)
            .finish()
    }
}

impl fmt::Display for Incoherent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "types and upcasters do not fit together: {}",
            self.faults.join("; ")
        )
    }
}

impl std::error::Error for Incoherent {}

#[cfg(test)]
mod tests;
