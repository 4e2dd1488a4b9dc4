//! A handler without code: an SQL function of the handlers' database takes the event as JSON.

use std::fmt;
use std::str::FromStr;

use super::handler::{BoxFuture, Handler, HandlerError, HandlerResult};
use super::pg::{self, PgConnection};
use crate::event::{Event, envelope};

/// The name of an SQL function with its schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    schema: String,
    name: String,
}

/// The text is no `schema.function`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotAFunction(String);

impl fmt::Display for NotAFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "call: must be schema.function, both of letters, digits and underscores, got {:?}",
            self.0
        )
    }
}

impl std::error::Error for NotAFunction {}

impl FromStr for Function {
    type Err = NotAFunction;

    fn from_str(text: &str) -> Result<Self, NotAFunction> {
        let is_identifier = |text: &str| {
            text.len() <= 63
                && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        };
        match text.split_once('.') {
            Some((schema, name)) if is_identifier(schema) && is_identifier(name) => Ok(Self {
                schema: schema.to_owned(),
                name: name.to_owned(),
            }),
            _ => Err(NotAFunction(text.chars().take(130).collect())),
        }
    }
}

impl Function {
    /// How the database names it. Quoted: the case is kept.
    pub(super) fn signature(&self) -> String {
        format!("\"{}\".\"{}\"(json)", self.schema, self.name)
    }

    fn statement(&self) -> String {
        format!("select \"{}\".\"{}\"($1::text::json)", self.schema, self.name)
    }
}

/// Hands each event to an SQL function, as structured CloudEvents JSON whatever mode it came in.
pub(super) struct Call {
    statement: String,
}

impl Call {
    pub(super) fn new(function: &Function) -> Self {
        Self {
            statement: function.statement(),
        }
    }
}

impl Handler for Call {
    fn handle<'a>(
        &'a self,
        transaction: &'a mut PgConnection,
        event: &'a Event,
    ) -> BoxFuture<'a, HandlerResult> {
        Box::pin(async move {
            let json = String::from_utf8(envelope::structured(event))
                .map_err(|_| HandlerError::new("the event is not UTF-8").permanent())?;
            Ok(pg::call(transaction, &self.statement, &json).await?)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_named_with_its_schema_and_quoted() {
        let function: Function = "shop.Apply_order".parse().expect("it is a name");
        assert_eq!(
            function.statement(),
            "select \"shop\".\"Apply_order\"($1::text::json)"
        );
        assert_eq!(function.signature(), "\"shop\".\"Apply_order\"(json)");
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "apply",
            "shop.",
            ".apply",
            "a.b.c",
            "shop.apply()",
            "shop.a b",
            "shop.\"a\"",
            "1a.b",
            "shop.a;drop",
        ] {
            assert!(text.parse::<Function>().is_err(), "{text}");
        }
    }
}
