//! The kinds of value a setting may have: how it is read from text, shown again, and what it must be.
//!
//! Pure. A kind says what it expects as the end of a sentence ("must be …"), so that errors and documentation agree.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

/// How text becomes a value.
pub trait Kind {
    /// What is read.
    type Value;

    /// Reads `text`; nothing when it is not what [`Kind::expects`] says.
    fn read(&self, text: &str) -> Option<Self::Value>;

    /// Writes a value as [`Kind::read`] would accept it; nothing when it is not set or must not be seen.
    fn show(&self, value: &Self::Value) -> Option<String>;

    /// Completes "must be …".
    fn expects(&self) -> String;

    /// Whether the value must never be printed.
    fn is_secret(&self) -> bool {
        false
    }
}

/// A stretch of time with its unit, both bounds included.
pub struct Span(pub Duration, pub Duration);

impl Kind for Span {
    type Value = Duration;

    fn read(&self, text: &str) -> Option<Duration> {
        let digits = text.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = text[..digits].parse().ok()?;
        let value = match text[digits..].trim() {
            "ms" => Duration::from_millis(number),
            "s" => Duration::from_secs(number),
            "m" => Duration::from_secs(number.checked_mul(60)?),
            "h" => Duration::from_secs(number.checked_mul(3600)?),
            _ => return None,
        };
        (self.0..=self.1).contains(&value).then_some(value)
    }

    fn show(&self, value: &Duration) -> Option<String> {
        Some(span(*value))
    }

    fn expects(&self) -> String {
        format!(
            "a duration with its unit (ms, s, m, h) from {} to {}",
            span(self.0),
            span(self.1)
        )
    }
}

/// Writes a duration in the largest unit that divides it.
#[must_use]
pub fn span(value: Duration) -> String {
    let ms = value.as_millis();
    match ms {
        0 => "0s".to_owned(),
        _ if ms.is_multiple_of(3_600_000) => format!("{}h", ms / 3_600_000),
        _ if ms.is_multiple_of(60_000) => format!("{}m", ms / 60_000),
        _ if ms.is_multiple_of(1000) => format!("{}s", ms / 1000),
        _ => format!("{ms}ms"),
    }
}

/// A whole number, both bounds included.
pub struct Count(pub usize, pub usize);

impl Kind for Count {
    type Value = usize;

    fn read(&self, text: &str) -> Option<usize> {
        text.parse()
            .ok()
            .filter(|value| (self.0..=self.1).contains(value))
    }

    fn show(&self, value: &usize) -> Option<String> {
        Some(value.to_string())
    }

    fn expects(&self) -> String {
        format!("a whole number from {} to {}", self.0, self.1)
    }
}

/// Whole numbers with commas between them, both bounds included.
pub struct Numbers(pub u32, pub u32);

impl Kind for Numbers {
    type Value = Vec<u32>;

    fn read(&self, text: &str) -> Option<Vec<u32>> {
        let number = |text: &str| {
            let number = text.trim().parse().ok()?;
            (self.0..=self.1).contains(&number).then_some(number)
        };
        text.split(',').map(number).collect()
    }

    fn show(&self, value: &Vec<u32>) -> Option<String> {
        Some(value.iter().map(u32::to_string).collect::<Vec<_>>().join(","))
    }

    fn expects(&self) -> String {
        format!(
            "whole numbers from {} to {} with commas between them, such as 0,2",
            self.0, self.1
        )
    }
}

/// A size in bytes, plain or with a binary unit, both bounds included.
pub struct Bytes(pub usize, pub usize);

/// Two to the tenth.
pub const KIB: usize = 1 << 10;
/// Two to the twentieth.
pub const MIB: usize = 1 << 20;

impl Kind for Bytes {
    type Value = usize;

    fn read(&self, text: &str) -> Option<usize> {
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let number: usize = text[..digits].parse().ok()?;
        let unit = match text[digits..].trim() {
            "" => 1,
            "KiB" => KIB,
            "MiB" => MIB,
            _ => return None,
        };
        number
            .checked_mul(unit)
            .filter(|value| (self.0..=self.1).contains(value))
    }

    fn show(&self, value: &usize) -> Option<String> {
        Some(size(*value))
    }

    fn expects(&self) -> String {
        format!(
            "a size in bytes, KiB or MiB from {} to {}",
            size(self.0),
            size(self.1)
        )
    }
}

/// Writes a size in the largest unit that divides it.
#[must_use]
pub fn size(bytes: usize) -> String {
    match bytes {
        0 => "0".to_owned(),
        _ if bytes.is_multiple_of(MIB) => format!("{} MiB", bytes / MIB),
        _ if bytes.is_multiple_of(KIB) => format!("{} KiB", bytes / KIB),
        _ => bytes.to_string(),
    }
}

/// Yes or no.
pub struct Switch;

impl Kind for Switch {
    type Value = bool;

    fn read(&self, text: &str) -> Option<bool> {
        text.parse().ok()
    }

    fn show(&self, value: &bool) -> Option<String> {
        Some(value.to_string())
    }

    fn expects(&self) -> String {
        "true or false".to_owned()
    }
}

/// Text that a rule accepts; the second part completes "must be …".
pub struct Text(pub fn(&str) -> bool, pub &'static str);

impl Kind for Text {
    type Value = String;

    fn read(&self, text: &str) -> Option<String> {
        (self.0)(text).then(|| text.to_owned())
    }

    fn show(&self, value: &String) -> Option<String> {
        Some(value.clone())
    }

    fn expects(&self) -> String {
        self.1.to_owned()
    }
}

/// An enumeration whose words are part of the configuration.
pub trait Words: Copy + PartialEq + 'static {
    /// Every word and what it stands for.
    const WORDS: &'static [(&'static str, Self)];

    /// The word of this value.
    fn word(self) -> &'static str {
        Self::WORDS
            .iter()
            .find(|(_, value)| *value == self)
            .map_or("", |(word, _)| word)
    }
}

/// One of a few words.
pub struct OneOf<T>(pub std::marker::PhantomData<T>);

/// One of the words of `T`.
#[must_use]
pub fn one_of<T: Words>() -> OneOf<T> {
    OneOf(std::marker::PhantomData)
}

impl<T: Words> Kind for OneOf<T> {
    type Value = T;

    fn read(&self, text: &str) -> Option<T> {
        T::WORDS
            .iter()
            .find(|(word, _)| *word == text)
            .map(|(_, value)| *value)
    }

    fn show(&self, value: &T) -> Option<String> {
        Some(value.word().to_owned())
    }

    fn expects(&self) -> String {
        let words: Vec<&str> = T::WORDS.iter().map(|(word, _)| *word).collect();
        format!("one of {}", words.join(", "))
    }
}

/// An address and port to listen on; port 0 lets the system choose.
pub struct Address;

impl Kind for Address {
    type Value = SocketAddr;

    fn read(&self, text: &str) -> Option<SocketAddr> {
        text.parse().ok()
    }

    fn show(&self, value: &SocketAddr) -> Option<String> {
        Some(value.to_string())
    }

    fn expects(&self) -> String {
        "an IP address and port such as 127.0.0.1:8087 or [::]:8087".to_owned()
    }
}

/// The path of a file.
pub struct Path;

impl Kind for Path {
    type Value = PathBuf;

    fn read(&self, text: &str) -> Option<PathBuf> {
        (!text.is_empty()).then(|| PathBuf::from(text))
    }

    fn show(&self, value: &PathBuf) -> Option<String> {
        Some(value.display().to_string())
    }

    fn expects(&self) -> String {
        "the path of a file".to_owned()
    }
}

/// Text that is never shown; the second part completes "must be …".
pub struct Secret(pub fn(&str) -> bool, pub &'static str);

impl Kind for Secret {
    type Value = SecretString;

    fn read(&self, text: &str) -> Option<SecretString> {
        (self.0)(text).then(|| SecretString::from(text))
    }

    fn show(&self, _: &SecretString) -> Option<String> {
        None
    }

    fn expects(&self) -> String {
        self.1.to_owned()
    }

    fn is_secret(&self) -> bool {
        true
    }
}

/// A setting that may be absent.
pub struct Maybe<K>(pub K);

impl<K: Kind> Kind for Maybe<K> {
    type Value = Option<K::Value>;

    fn read(&self, text: &str) -> Option<Self::Value> {
        self.0.read(text).map(Some)
    }

    fn show(&self, value: &Self::Value) -> Option<String> {
        value.as_ref().and_then(|value| self.0.show(value))
    }

    fn expects(&self) -> String {
        self.0.expects()
    }

    fn is_secret(&self) -> bool {
        self.0.is_secret()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_between_commas() {
        let kind = Numbers(0, 1023);
        assert_eq!(kind.read("0, 2"), Some(vec![0, 2]));
        assert_eq!(kind.show(&vec![0, 2]), Some("0,2".to_owned()));
        for refused in ["", ",", "0,", "0 2", "1024", "-1", "0-2"] {
            assert_eq!(kind.read(refused), None, "{refused:?}");
        }
    }

    #[test]
    fn durations_need_a_unit_and_keep_their_bounds() {
        let kind = Span(Duration::from_secs(1), Duration::from_secs(300));
        assert_eq!(kind.read("4s"), Some(Duration::from_secs(4)));
        assert_eq!(kind.read("1500ms"), Some(Duration::from_millis(1500)));
        assert_eq!(kind.read("5m"), Some(Duration::from_secs(300)));
        for refused in [
            "4",
            "999ms",
            "6m",
            "-1s",
            "4 days",
            "",
            "s",
            "99999999999999999999s",
        ] {
            assert_eq!(kind.read(refused), None, "{refused}");
        }
    }

    #[test]
    fn sizes_take_binary_units() {
        let kind = Bytes(KIB, 64 * MIB);
        assert_eq!(kind.read("4 MiB"), Some(4 * MIB));
        assert_eq!(kind.read("2048"), Some(2048));
        for refused in ["4 MB", "1", "65 MiB", "", "MiB"] {
            assert_eq!(kind.read(refused), None, "{refused}");
        }
    }

    #[test]
    fn what_is_shown_can_be_read_again() {
        for ms in [1, 20, 1000, 4000, 90_000, 120_000, 7_200_000] {
            let kind = Span(Duration::ZERO, Duration::MAX);
            let value = Duration::from_millis(ms);
            assert_eq!(kind.read(&span(value)), Some(value));
        }
        for bytes in [1, 1000, KIB, 3 * KIB, 4 * MIB] {
            assert_eq!(Bytes(0, usize::MAX).read(&size(bytes)), Some(bytes));
        }
    }
}
