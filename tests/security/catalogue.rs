//! What the catalogue holds and grants: every object of both schemas, and what each role may do with it.

use std::collections::BTreeSet;

use sqlx::{PgConnection, Row};
use system_tests::Result;

use crate::expected::{Matrix, Rights};
use crate::ground::{ROLES, STRANGER, login};

/// One object as the catalogue has it.
#[derive(Debug)]
pub(crate) struct Object {
    /// `schema`, `table`, `view`, `sequence` or `function`.
    pub(crate) kind: String,
    /// With its schema; a function with the types of its parameters.
    pub(crate) name: String,
    /// Columns that can be written, with their types; parameters of a function.
    pub(crate) columns: Vec<(String, String)>,
    /// Of a table: a column that a foreign key can refer to, and its type.
    pub(crate) key: Option<(String, String)>,
    pub(crate) owner: String,
}

impl Object {
    /// Its line in the matrix: pieces of a partitioned table, which come and go, share one.
    pub(crate) fn line(&self) -> String {
        let digits = self.name.trim_end_matches(|c: char| c.is_ascii_digit());
        let is_piece = digits.len() < self.name.len()
            && (digits.ends_with("_from_") || digits.ends_with("inbox_"))
            && self.kind == "table";
        format!(
            "{} {}{}",
            self.kind,
            if is_piece { digits } else { &self.name },
            if is_piece { "*" } else { "" }
        )
    }
}

const OBJECTS: &str = r"
    select 'schema' as kind, nspname::text as name, nspowner::regrole::text as owner,
           array[]::text[] as columns, array[]::text[] as types, null::text as key, null::text as key_type
    from pg_namespace where nspname in ('outbox', 'outbox_ops')
    union all
    select case c.relkind when 'S' then 'sequence' when 'r' then 'table' when 'p' then 'table' when 'v' then 'view'
                          else 'relation of kind ' || c.relkind::text end,
           format('%I.%I', n.nspname, c.relname), c.relowner::regrole::text,
           array(select a.attname::text from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
                 and a.attgenerated = '' and a.attidentity <> 'a' order by a.attnum),
           array(select format_type(a.atttypid, a.atttypmod) from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
                 and a.attgenerated = '' and a.attidentity <> 'a' order by a.attnum),
           k.attname, format_type(k.atttypid, k.atttypmod)
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    left join pg_constraint p on p.conrelid = c.oid and p.contype = 'p' and array_length(p.conkey, 1) = 1
    left join pg_attribute k on k.attrelid = c.oid and k.attnum = p.conkey[1]
    where n.nspname in ('outbox', 'outbox_ops') and c.relkind not in ('i', 'I', 't', 'c')
    union all
    select case p.prokind when 'f' then 'function' else 'routine of kind ' || p.prokind::text end,
           p.oid::regprocedure::text, p.proowner::regrole::text,
           array[]::text[], array(select format_type(t, null) from unnest(p.proargtypes) with ordinality a(t, n) order by n), null, null
    from pg_proc p where p.pronamespace in ('outbox'::regnamespace, 'outbox_ops'::regnamespace)
    order by 1, 2";

/// Every object of both schemas.
pub(crate) async fn objects(connection: &mut PgConnection) -> Result<Vec<Object>> {
    let mut objects = Vec::new();
    for row in sqlx::query(OBJECTS).fetch_all(connection).await? {
        let names: Vec<String> = row.try_get("columns")?;
        let types: Vec<String> = row.try_get("types")?;
        let names = names.into_iter().chain(std::iter::repeat(String::new()));
        let key: Option<String> = row.try_get("key")?;
        let key_type: Option<String> = row.try_get("key_type")?;
        objects.push(Object {
            kind: row.try_get("kind")?,
            name: row.try_get("name")?,
            columns: names.zip(types).collect(),
            key: key.zip(key_type),
            owner: row.try_get("owner")?,
        });
    }
    Ok(objects)
}

/// By privilege, membership inherited included; without the right to the schema nothing in it is of use.
const RIGHTS: &str = r"
    select verb from unnest($3::text[]) verb
    where has_schema_privilege($1, split_part($2, '.', 1), 'usage')
      and case $4 when 'schema' then has_schema_privilege($1, $2, verb)
                  when 'function' then has_function_privilege($1, $2, verb)
                  when 'sequence' then has_sequence_privilege($1, $2, verb)
                  else has_table_privilege($1, $2, verb) end
    union all
    select format('%s(%s)', verb, string_agg(a.attname, '+' order by a.attname))
    from unnest(array['select', 'insert', 'update', 'references']) verb, pg_attribute a
    where $4 in ('table', 'view') and a.attrelid = case when $4 in ('table', 'view') then to_regclass($2) end and a.attnum > 0 and not a.attisdropped
      and has_schema_privilege($1, split_part($2, '.', 1), 'usage')
      and not has_table_privilege($1, $2, verb) and has_column_privilege($1, $2, a.attname, verb)
    group by verb";

/// What an object of a kind can be asked for.
pub(crate) fn verbs(kind: &str) -> &'static [&'static str] {
    match kind {
        "schema" => &["usage", "create"],
        "function" => &["execute"],
        "sequence" => &["usage", "select", "update"],
        _ => &[
            "select",
            "insert",
            "update",
            "delete",
            "truncate",
            "references",
            "trigger",
        ],
    }
}

/// What a role may do with an object.
pub(crate) async fn rights(
    connection: &mut PgConnection,
    role: &str,
    object: &Object,
) -> Result<BTreeSet<String>> {
    let granted: Vec<String> = sqlx::query_scalar(RIGHTS)
        .bind(login(role))
        .bind(&object.name)
        .bind(
            verbs(&object.kind)
                .iter()
                .map(|verb| (*verb).to_owned())
                .collect::<Vec<_>>(),
        )
        .bind(&object.kind)
        .fetch_all(connection)
        .await?;
    Ok(granted.into_iter().collect())
}

/// The whole matrix as the catalogue has it. What everybody may is said of `public` alone, and the owner is left out.
pub(crate) async fn matrix(connection: &mut PgConnection, objects: &[Object]) -> Result<Matrix> {
    let mut matrix = Matrix::default();
    for object in objects {
        let everybody = rights(connection, STRANGER, object).await?;
        let mut by_role = Rights::new();
        for role in ROLES {
            let mut verbs = rights(connection, role, object).await?;
            if role != STRANGER {
                verbs.retain(|verb| !everybody.contains(verb));
            }
            let is_owner = role == "maintainer" && object.owner == "outbox_maintainer";
            if !verbs.is_empty() && !is_owner {
                by_role.insert(role.to_owned(), verbs);
            }
        }
        // Pieces of one table are alike, or the line says what differs.
        matrix.lines.entry(object.line()).or_default().extend(by_role);
    }
    Ok(matrix)
}
