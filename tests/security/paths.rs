//! Who can become whom, and what runs with another's rights.

use std::collections::BTreeSet;

use sqlx::{AssertSqlSafe, Executor};
use system_tests::Result;

use crate::ground::{Ground, ROLES, STRANGER};
use crate::tried::refusal;

/// Members of the server's own roles: to see whose transactions are open, and nothing that shows statements to observers.
const MEMBERSHIPS: [(&str, &str); 2] = [
    ("outbox_maintainer", "pg_read_all_stats"),
    ("outbox_relay", "pg_read_all_stats"),
];

#[tokio::test]
async fn no_role_becomes_another() -> Result {
    let ground = Ground::new().await?;
    let mut administrator = ground.administrator().await?;
    // GIVEN the roles that the migrations make
    let made: BTreeSet<String> =
        sqlx::query_scalar("select rolname::text from pg_roles where rolname like 'outbox\\_%'")
            .fetch_all(&mut administrator)
            .await?
            .into_iter()
            .collect();
    let known = ROLES.iter().filter(|role| **role != STRANGER);
    let known: BTreeSet<String> = known.map(|role| format!("outbox_{role}")).collect();
    assert_eq!(made, known, "a role without expectations");
    // THEN none may log in, or more than a plain one, and they are members of nothing else
    let strong: Vec<String> = sqlx::query_scalar(
        "select rolname::text from pg_roles where rolname like 'outbox\\_%'
         and (rolcanlogin or rolsuper or rolcreaterole or rolcreatedb or rolreplication or rolbypassrls)",
    )
    .fetch_all(&mut administrator)
    .await?;
    assert!(strong.is_empty(), "{strong:?}");
    let memberships: Vec<(String, String)> = sqlx::query_as(
        "select member::regrole::text, roleid::regrole::text from pg_auth_members
         where member::regrole::text like 'outbox\\_%' order by 1, 2",
    )
    .fetch_all(&mut administrator)
    .await?;
    let expected = MEMBERSHIPS.map(|(member, role)| (member.to_owned(), role.to_owned()));
    assert_eq!(memberships, expected);
    // WHEN each login tries to become each role THEN it becomes only its own, and what that one is a member of
    for role in ROLES {
        let mut connection = ground.connect(role).await?;
        for other in ROLES.iter().filter(|other| **other != STRANGER) {
            let refused = refusal(&mut connection, &format!("set role outbox_{other}; reset role")).await;
            let is_refused = refused.is_some_and(|said| said.starts_with("42501"));
            assert_eq!(is_refused, *other != role, "{role} becomes {other}");
        }
        for (member, server) in MEMBERSHIPS {
            let refused = refusal(&mut connection, &format!("set role {server}; reset role")).await;
            let may = MEMBERSHIPS.contains(&(&format!("outbox_{role}"), server));
            assert_eq!(refused.is_none(), may, "{role} becomes {server}, as {member} may");
        }
        let refused = refusal(&mut connection, "set session authorization postgres").await;
        assert!(refused.is_some_and(|said| said.starts_with("42501")), "{role}");
        assert!(
            refusal(&mut connection, "set role postgres").await.is_some(),
            "{role}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn what_runs_with_the_owners_rights_is_the_maintainers_with_a_fixed_path_and_not_everybodys() -> Result
{
    let ground = Ground::new().await?;
    let mut administrator = ground.administrator().await?;
    // GIVEN every function of both schemas that runs with its owner's rights
    let functions: Vec<(String, String, Option<String>, bool)> = sqlx::query_as(
        "select p.oid::regprocedure::text, p.proowner::regrole::text,
                (select substr(s, 13) from unnest(p.proconfig) s where s like 'search_path=%'),
                exists (select from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a where a.grantee = 0)
         from pg_proc p where p.pronamespace in ('outbox'::regnamespace, 'outbox_ops'::regnamespace) and p.prosecdef",
    )
    .fetch_all(&mut administrator)
    .await?;
    assert!(functions.len() > 20, "{functions:?}");
    // THEN its owner, its path and who may call it are as the rules of migrations/README.md say
    for (name, owner, path, is_everybodys) in functions {
        assert_eq!(owner, "outbox_maintainer", "{name}");
        assert_eq!(path.as_deref(), Some("pg_catalog, pg_temp"), "{name}");
        // What is settled is everybody's, and so is what it calls where it is no constant.
        let is_settled = name.starts_with("outbox.look_up_");
        assert_eq!(is_everybodys, is_settled, "{name} may be called by everybody");
    }
    // AND no other function is everybody's either, but for the condition of a trigger and what is settled, which whoever inserts looks at
    let everybodys: Vec<String> = sqlx::query_scalar(
        "select p.oid::regprocedure::text from pg_proc p where p.pronamespace in ('outbox'::regnamespace, 'outbox_ops'::regnamespace)
         and exists (select from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a where a.grantee = 0) order by 1",
    )
    .fetch_all(&mut administrator)
    .await?;
    assert_eq!(
        everybodys,
        [
            "outbox.look_up_payload_limit()",
            "outbox.look_up_retention(text)",
            "outbox.look_up_source()",
            "outbox.must_ring()",
            "outbox.settled_payload_limit()",
            "outbox.settled_retention(text)",
            "outbox.settled_source()"
        ]
    );
    // AND the maintainer, whose rights they have, is no member of anything that writes elsewhere
    let elsewhere: Vec<String> = sqlx::query_scalar(
        "select c.oid::regclass::text from pg_class c where c.relnamespace not in ('outbox'::regnamespace, 'outbox_ops'::regnamespace)
         and c.relkind in ('r', 'p') and has_table_privilege('outbox_maintainer', c.oid, 'insert, update, delete')
         and c.relnamespace <> 'pg_toast'::regnamespace",
    )
    .fetch_all(&mut administrator)
    .await?;
    assert!(elsewhere.is_empty(), "{elsewhere:?}");
    Ok(())
}

/// Rights are per object here: policies per row would bind neither the owner nor what runs with its rights.
#[tokio::test]
async fn no_table_has_policies_by_row() -> Result {
    let ground = Ground::new().await?;
    let with_policies: Vec<String> = sqlx::query_scalar(
        "select oid::regclass::text from pg_class where relrowsecurity and relnamespace in ('outbox'::regnamespace, 'outbox_ops'::regnamespace)",
    )
    .fetch_all(&mut ground.administrator().await?)
    .await?;
    assert!(with_policies.is_empty(), "{with_policies:?}");
    Ok(())
}

#[tokio::test]
async fn position_and_transaction_cannot_be_forged_whatever_way_is_tried() -> Result {
    let ground = Ground::new().await?;
    for role in [
        "producer",
        "reader",
        "subscriber",
        "relay",
        "consumer",
        "observer",
        "operator",
        STRANGER,
    ] {
        let mut connection = ground.connect(role).await?;
        for statement in [
            "insert into outbox.log (topic, retention, id, source, type, position) values ('t', 'standard', gen_random_uuid(), 's', 't', 1)",
            "insert into outbox.log (topic, retention, id, source, type, transaction_id) values ('t', 'standard', gen_random_uuid(), 's', 't', '9')",
            "insert into outbox.log (position, topic, retention, id, source, type) overriding system value values (1, 't', 'standard', gen_random_uuid(), 's', 't')",
            "insert into outbox.log (topic, retention, id, source, type) values ('t', 'standard', gen_random_uuid(), 's', 't')",
            "insert into outbox.log_standard (topic, retention, id, source, type) values ('t', 'standard', gen_random_uuid(), 's', 't')",
            "copy outbox.log (topic, position) from stdin",
            "select setval('outbox.log_position', 1)",
            "select nextval('outbox.log_position')",
            "update outbox.log set position = 1",
            "alter sequence outbox.log_position restart",
            "alter table outbox.log disable trigger all",
            "set session_replication_role = replica",
        ] {
            let refused = refusal(&mut connection, statement).await;
            let refused = refused.unwrap_or_else(|| "not at all".to_owned());
            // An append draws one with the rights of who appends; one that is thrown away is a gap, as after a rollback.
            let may_draw = role == "producer" && statement.contains("nextval");
            let expected = if may_draw { "not at all" } else { "42501" };
            assert!(refused.starts_with(expected), "{role}: {statement}: {refused}");
        }
    }
    // AND who appends gets the position that comes, in the transaction that it is
    let mut producer = ground.connect("producer").await?;
    producer.execute("select outbox.append('t', '{}')").await?;
    let is_its_own: bool = sqlx::query_scalar(AssertSqlSafe(
        "select position = 2 and transaction_id < pg_snapshot_xmax(pg_current_snapshot()) from outbox.log"
            .to_owned(),
    ))
    .fetch_one(&mut ground.administrator().await?)
    .await?;
    assert!(is_its_own);
    Ok(())
}
