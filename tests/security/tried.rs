//! A representative statement for each cell of the matrix, and what the server's answer means.
//!
//! Every statement is tried in a subtransaction that is undone, by a function that runs with the rights of whoever calls it.

use std::collections::BTreeSet;

use sqlx::{AssertSqlSafe, Executor, PgConnection};
use system_tests::Result;

use crate::catalogue::{Object, verbs};

/// What tries, for everybody. `undone` is no state of the server's own.
const TRY: &str = r"
    create schema probe;
    grant usage, create on schema probe to public;
    create function probe.fire() returns trigger language plpgsql as 'begin return null; end';
    create function probe.try(statement text) returns text language plpgsql as $$
    begin
        execute statement;
        raise exception 'undone' using errcode = 'OB000';
    exception
        when others then return pg_catalog.concat(sqlstate, ' ', sqlerrm);
    end $$;
    grant execute on all functions in schema probe to public";

/// Makes what tries.
pub(crate) async fn prepare(administrator: &mut PgConnection) -> Result {
    administrator.execute(TRY).await?;
    Ok(())
}

/// One verb at one object.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) line: String,
    pub(crate) verb: String,
    pub(crate) statement: String,
    /// What a refusal for want of the right itself begins with; anything else that is refused was let in first.
    refusals: Vec<String>,
}

impl Attempt {
    /// Whether the role was let in, by the server's answer.
    pub(crate) fn was_let_in(&self, answer: &str) -> bool {
        !self
            .refusals
            .iter()
            .any(|refusal| answer.starts_with(refusal.as_str()))
    }
}

/// What was answered to each, by the role of the connection.
pub(crate) async fn answers(connection: &mut PgConnection, attempts: &[Attempt]) -> Result<Vec<String>> {
    let statements: Vec<&str> = attempts
        .iter()
        .map(|attempt| attempt.statement.as_str())
        .collect();
    let answered: Vec<String> =
        sqlx::query_scalar("select probe.try(statement) from pg_catalog.unnest($1::text[]) statement")
            .bind(statements)
            .fetch_all(connection)
            .await?;
    Ok(answered)
}

/// Every verb that can be tried at an object. A view cannot be written, whoever asks; only keys can be referred to.
pub(crate) fn attempts(object: &Object) -> Vec<Attempt> {
    let mut attempts = Vec::new();
    for verb in verbs(&object.kind) {
        let Some(statement) = statement(object, verb) else {
            continue;
        };
        attempts.push(Attempt {
            line: object.line(),
            verb: (*verb).to_owned(),
            statement,
            refusals: refusals(object),
        });
    }
    attempts
}

/// Any statement, to be answered as the others are.
pub(crate) fn call(statement: &str) -> Attempt {
    Attempt {
        line: "a call".to_owned(),
        verb: "call".to_owned(),
        statement: statement.to_owned(),
        refusals: Vec::new(),
    }
}

/// One attempt for each column of a right to some columns: those that are granted, and those that are not.
pub(crate) fn attempts_by_column(
    object: &Object,
    verb: &str,
    granted: &BTreeSet<&str>,
) -> Vec<(Attempt, bool)> {
    let of = |column: &(String, String)| {
        let single = Object {
            kind: object.kind.clone(),
            name: object.name.clone(),
            columns: vec![column.clone()],
            key: None,
            owner: object.owner.clone(),
        };
        let statement = statement(&single, verb)?;
        let attempt = Attempt {
            line: object.line(),
            verb: format!("{verb}({})", column.0),
            statement,
            refusals: refusals(object),
        };
        Some((attempt, granted.contains(column.0.as_str())))
    };
    object.columns.iter().filter_map(of).collect()
}

fn refusals(object: &Object) -> Vec<String> {
    let (schema, rest) = object.name.split_once('.').unwrap_or((&object.name, ""));
    let name = rest.split('(').next().unwrap_or(rest).trim_matches('"');
    let mut refusals = vec![format!("42501 permission denied for schema {schema}")];
    if object.kind != "schema" {
        refusals.push(format!("42501 permission denied for {} {name}", object.kind));
    }
    refusals
}

fn statement(object: &Object, verb: &str) -> Option<String> {
    let name = &object.name;
    let columns = |write: &dyn Fn(&(String, String)) -> String| {
        let written: Vec<String> = object.columns.iter().map(write).collect();
        written.join(", ")
    };
    let nulls = || columns(&|(_, kind)| format!("null::{kind}"));
    Some(match (object.kind.as_str(), verb) {
        ("schema", "usage") => format!("select '{name}.nothing'::regclass"),
        ("schema", "create") => format!("create table {name}.probe ()"),
        ("function", _) => format!("select {}({})", name.split('(').next()?, nulls()),
        ("sequence", "usage") => format!("select nextval('{name}')"),
        ("sequence", "select") => format!("select last_value from {name}"),
        ("sequence", "update") => format!("select setval('{name}', 1000)"),
        (_, "select") => format!(
            "select {} from {name} limit 0",
            columns(&|(column, _)| format!("\"{column}\""))
        ),
        ("view", _) => return None,
        (_, "insert") => format!(
            "insert into {name} ({}) select {} where false",
            columns(&|(column, _)| format!("\"{column}\"")),
            nulls()
        ),
        (_, "update") => format!(
            "update {name} set {} where false",
            columns(&|(column, _)| format!("\"{column}\" = null"))
        ),
        (_, "delete") => format!("delete from {name} where false"),
        (_, "truncate") => format!("truncate {name}"),
        (_, "trigger") => format!(
            "create trigger probe before insert on {name} for each statement execute function probe.fire()"
        ),
        (_, "references") => {
            let (column, kind) = object.key.as_ref()?;
            format!("create table probe.refers (it {kind} references {name} (\"{column}\"))")
        }
        _ => return None,
    })
}

/// Runs a statement as the connection's role, and says how it was refused; none when it was not.
pub(crate) async fn refusal(connection: &mut PgConnection, statement: &str) -> Option<String> {
    let error = connection
        .execute(AssertSqlSafe(statement.to_owned()))
        .await
        .err()?;
    let error = error.as_database_error()?;
    Some(format!("{} {}", error.code()?, error.message()))
}
