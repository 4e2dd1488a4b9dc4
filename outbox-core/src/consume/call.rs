//! A handler without code: an SQL function of the handlers' database takes the event as JSON.
//!
//! All events of a transaction go over by one statement, which calls the function for one after the other. What it does for one of
//! them it sees when it is called for the next: a function that writes is `volatile`, and each call has a snapshot of its own. If it
//! raises, the statement is undone, and each event is tried alone.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::handler::{BatchHandler, BoxFuture, HandlerError, HandlerResult};
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

    /// Calls it for each of an array. A function that is volatile is called for what is sorted already.
    fn statement(&self) -> String {
        format!(
            "select \"{}\".\"{}\"(given.event::json) from unnest($1::text[]) with ordinality given (event, place) order by given.place",
            self.schema, self.name
        )
    }
}

/// Hands events to an SQL function, as structured CloudEvents JSON whatever mode they came in.
pub(super) struct Call {
    statement: Arc<str>,
}

impl Call {
    pub(super) fn new(function: &Function) -> Self {
        Self {
            statement: function.statement().into(),
        }
    }
}

impl BatchHandler for Call {
    fn handle<'a>(
        &'a self,
        transaction: &'a mut PgConnection,
        events: &'a [Event],
    ) -> BoxFuture<'a, HandlerResult> {
        Box::pin(async move {
            let json = events
                .iter()
                .map(|event| String::from_utf8(envelope::structured(event)));
            let json: Vec<String> = json
                .collect::<Result<_, _>>()
                .map_err(|_| HandlerError::new("the event is not UTF-8").permanent())?;
            Ok(pg::call(transaction, self.statement.clone(), json).await?)
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
            "select \"shop\".\"Apply_order\"(given.event::json) from unnest($1::text[]) with ordinality given (event, place) \
             order by given.place"
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
