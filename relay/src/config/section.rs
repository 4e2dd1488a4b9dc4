//! A section of the configuration: one struct per concern, and from the same lines its flags, variables, keys and
//! documentation, so that none of them can say anything else than the others.

use super::name::Name;
use super::reader::Reader;

/// What is known of a setting besides its value.
#[derive(Clone, Debug)]
pub struct Setting {
    /// How it is called.
    pub name: Name,
    /// What it is, its unit, why the default is what it is.
    pub doc: String,
    /// Completes "must be …".
    pub expects: String,
    /// The value when nobody sets it; nothing when it is then absent.
    pub default: Option<String>,
}

/// One struct of settings.
pub trait Section: Sized {
    /// The name, a stage of the path where it is about one.
    const NAME: &'static str;

    /// What the section is about.
    fn doc() -> String;

    /// Its settings, in order.
    fn settings() -> Vec<Setting>;

    /// Reads every setting; what cannot be read is reported to the reader and replaced by its default.
    fn read(reader: &mut Reader) -> Self;

    /// The values in the order of [`Section::settings`]; nothing for what is absent or secret.
    fn shown(&self) -> Vec<Option<String>>;
}

/// Joins the lines of a doc comment.
pub(crate) fn paragraphs(lines: &[&str]) -> String {
    lines
        .iter()
        .map(|line| line.trim())
        .collect::<Vec<_>>()
        .join("\n")
}

/// Defines a section. Each field: documentation, type, default, kind.
macro_rules! section {
    (
        $(#[doc = $about:literal])+
        $Section:ident = $word:literal {
            $(
                $(#[doc = $doc:literal])+
                $field:ident : $Type:ty = $default:expr, $kind:expr;
            )+
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug)]
        pub struct $Section {
            $( $(#[doc = $doc])+ pub $field: $Type, )+
        }

        impl $crate::config::section::Section for $Section {
            const NAME: &'static str = $word;

            fn doc() -> String {
                $crate::config::section::paragraphs(&[$($about),+])
            }

            fn settings() -> Vec<$crate::config::section::Setting> {
                use $crate::config::kind::Kind;
                vec![$({
                    let kind = $kind;
                    let default: $Type = $default;
                    $crate::config::section::Setting {
                        name: $crate::config::name::Name {
                            section: $word,
                            field: stringify!($field),
                            secret: kind.is_secret(),
                        },
                        doc: $crate::config::section::paragraphs(&[$($doc),+]),
                        expects: kind.expects(),
                        default: kind.show(&default),
                    }
                }),+]
            }

            fn read(reader: &mut $crate::config::reader::Reader) -> Self {
                Self { $( $field: {
                    let kind = $kind;
                    let secret = $crate::config::kind::Kind::is_secret(&kind);
                    let name = $crate::config::name::Name { section: $word, field: stringify!($field), secret };
                    reader.value(name, &kind, || $default)
                }, )+ }
            }

            fn shown(&self) -> Vec<Option<String>> {
                use $crate::config::kind::Kind;
                vec![$( $kind.show(&self.$field) ),+]
            }
        }
    };
}
pub(crate) use section;
