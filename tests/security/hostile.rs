//! Objects of a stranger, planted where a careless statement would find them, change nothing.
//!
//! Every operator on the types that we use, every function that ours call, and a table by the name of each of ours lie in a
//! schema at the head of the path, in `public` and (tables) in the session's own temporary schema. Whoever calls one of them
//! draws from a sequence, which no rollback undoes.

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use system_tests::{Relay, Result, World};

use crate::catalogue::{self, objects};
use crate::ground::{Ground, ROLES, login};
use crate::tried::{self, Attempt, answers, attempts};

/// Traps of the same kind in a schema. `%1$s` is its name.
const PLANT: &str = r#"
    create schema if not exists evil;
    grant usage, create on schema evil to public;
    create sequence evil.sprung;
    grant all on sequence evil.sprung to public;
    create function evil.spring() returns void language plpgsql set search_path = pg_catalog, pg_temp as $$
    begin
        perform nextval('evil.sprung');
        raise exception 'a trap was sprung' using errcode = 'OBEVL';
    end $$;
    do $do$
    declare
        body constant text := 'begin perform evil.spring(); return null; end';
        made record;
        place text;
        planted integer := 0;
    begin
        foreach place in array array['evil', 'public'] loop
            for made in
                select distinct p.proname, oidvectortypes(p.proargtypes) as types, format_type(p.prorettype, null) as result
                from pg_proc p join pg_type r on r.oid = p.prorettype
                where p.pronamespace = 'pg_catalog'::regnamespace and p.prokind = 'f' and not p.proretset and p.provariadic = 0
                  and r.typtype <> 'p' and not exists (select from unnest(p.proargtypes) t join pg_type a on a.oid = t where a.typtype = 'p')
                  and exists (select from pg_proc ours where ours.pronamespace in ('outbox'::regnamespace, 'outbox_ops'::regnamespace)
                              and ours.prosrc ~ ('\m' || p.proname || '\s*\('))
            loop
                execute format('create or replace function %I.%I(%s) returns %s language plpgsql as %L', place, made.proname, made.types, made.result, body);
                planted := planted + 1;
            end loop;
            for made in
                select o.oid::integer as number, o.oprname as name, format_type(o.oprleft, null) as one, format_type(o.oprright, null) as other,
                       format_type(o.oprresult, null) as result
                from pg_operator o
                where o.oprnamespace = 'pg_catalog'::regnamespace and o.oprkind = 'b' and o.oprresult <> 0
                  and o.oprleft = any ('{text,int4,int8,numeric,uuid,timestamptz,timestamp,interval,date,json,jsonb,bytea,xid8,float8,bool,name,oid,pg_lsn}'::regtype[])
                  and o.oprright = any ('{text,int4,int8,numeric,uuid,timestamptz,timestamp,interval,date,json,jsonb,bytea,xid8,float8,bool,name,oid,pg_lsn}'::regtype[])
            loop
                execute format('create function %I.%I(%s, %s) returns %s language plpgsql as %L',
                    place, 'operator_' || made.number, made.one, made.other, made.result, body);
                execute format('create operator %I.%s (leftarg = %s, rightarg = %s, function = %I.%I)',
                    place, made.name, made.one, made.other, place, 'operator_' || made.number);
                planted := planted + 1;
            end loop;
            for made in select relname as name from pg_class where relnamespace in ('outbox'::regnamespace, 'outbox_ops'::regnamespace)
                        and relkind in ('r', 'p', 'v') and not relispartition loop
                execute format('create table if not exists %I.%I (it text)', place, made.name);
                planted := planted + 1;
            end loop;
        end loop;
        if planted < 500 then
            raise exception 'only % traps', planted;
        end if;
    end $do$;
    grant all on all tables in schema evil, public to public"#;

/// Tables by our names in the session's own schema, which every path has, and the path of a victim.
const POISON: &str = r"
    do $$
    declare
        made text;
    begin
        for made in select relname from pg_catalog.pg_class where relnamespace = 'evil'::regnamespace and relkind = 'r' loop
            execute pg_catalog.format('create temporary table %I (it text)', made);
        end loop;
    end $$;
    set search_path = evil, public, pg_temp, pg_catalog";

/// Something of everything: what an event, a letter and an event that waits behind it leave in both halves.
pub(crate) const FURNISH: &str = r#"
    insert into outbox.topic (name) values ('orders');
    select outbox.add_inbox_day('2026-11-20');
    insert into outbox.consumer (name) values ('stock');
    insert into outbox.inbox (consumer, source, id, recorded_at, outcome, stream, entry_id)
    values ('stock', '/shop', 'one', '2026-11-20', 'dead', 'outbox:orders', '1-1'), ('stock', '/shop', 'two', '2026-11-20', 'parked', 'outbox:orders', '1-2');
    insert into outbox.dead_letter (consumer, stream, entry_id, flow, lane, source, id, type, key, recorded_at, entry_fields, error_class, error, fingerprint,
                                    attempts, first_failed_at)
    values ('stock', 'outbox:orders', '1-1', 'orders', 'kc', '/shop', 'one', 'orders.placed', 'c', '2026-11-20',
            array['event'::bytea, '{"specversion":"1.0","id":"one","source":"/shop","type":"orders.placed","data":{}}'::bytea], 'handler', 'x', 'f', 3, now());
    insert into outbox.parked_lane (consumer, flow, lane, state, stream) values ('stock', 'orders', 'kc', 'dead', 'outbox:orders');
    insert into outbox.parked_event (consumer, flow, lane, stream, entry_id, source, id, type, key, recorded_at, entry_fields, attempts)
    values ('stock', 'orders', 'kc', 'outbox:orders', '1-2', '/shop', 'two', 'orders.placed', 'c', '2026-11-20', array['event'::bytea, '{}'::bytea], 1)"#;

/// Calls that come further than those with nothing in every parameter, by role. Parameters are values, not expressions: what
/// stands in a statement of one's own is resolved by one's own path.
const CALLS: [(&str, &str); 22] = [
    ("producer", "select outbox.append('orders', '{}')"),
    (
        "producer",
        "select outbox.append('orders', '{\"a\": 1}', key => 'k', type => 'orders.placed', subject => 's', extensions => '{\"shade\": \"red\"}')",
    ),
    ("producer", "select outbox.append('not a topic', '{}')"),
    (
        "producer",
        "select outbox.append('orders', data_binary => 'x', \"time\" => '2026-11-20')",
    ),
    ("relay", "insert into outbox.topic (name) values ('more')"),
    (
        "relay",
        "update outbox.lease set expires_at = '2026-11-20', holder = 'me', epoch = 100",
    ),
    ("relay", "select outbox.layouts_in_force()"),
    (
        "observer",
        "select outbox.trace_log('01a1fd18-c2ff-7085-afb1-7aebe906c0bc')",
    ),
    ("observer", "select outbox.trace_consumers('one')"),
    ("consumer", "select outbox.add_inbox_day('2026-11-21')"),
    ("consumer", "select outbox.ensure_inbox_day('2026-11-22')"),
    (
        "consumer",
        "select outbox.forget_inbox(), outbox.forget_foreign(), outbox.forget_keyed()",
    ),
    (
        "consumer",
        "update outbox.inbox set outcome = 'applied', applied_at = '2026-11-20' where id operator(pg_catalog.=) 'two'",
    ),
    (
        "consumer",
        "insert into outbox.consumer_lease (consumer, stream, epoch, holder) values ('stock', 'outbox:orders', 5, 'one')",
    ),
    (
        "operator",
        "select outbox.preview_redrive('{\"consumer\": \"stock\", \"key\": \"c\", \"dead_after\": \"2026-01-01\"}')",
    ),
    (
        "operator",
        "select outbox.redrive('{\"fingerprint\": \"f\"}', 'mended')",
    ),
    (
        "operator",
        "select outbox.edit_dead_letter(1, '{\"a\": 2}', 'typo')",
    ),
    (
        "operator",
        "select outbox.discard_dead_letters('{\"ids\": [\"one\"]}', 'test data')",
    ),
    ("operator", "select outbox.pause_consumer('stock', 'why')"),
    ("operator", "select outbox.forget_consumer('stock', 'gone', true)"),
    (
        "operator",
        "select outbox.preview_seek('stock', '{outbox:orders}'), outbox.find_finished('stock', '{outbox:orders}', 'one')",
    ),
    ("maintainer", "select outbox.resume_topic('orders', 'mended')"),
];

/// How often a trap was sprung.
async fn sprung(administrator: &mut PgConnection) -> Result<i64> {
    let drawn = "select case when is_called then last_value else 0 end from evil.sprung";
    Ok(sqlx::query_scalar(drawn).fetch_one(administrator).await?)
}

#[tokio::test]
async fn whatever_a_stranger_planted_each_function_and_view_answers_the_same() -> Result {
    let ground = Ground::new().await?;
    let mut administrator = ground.administrator().await?;
    administrator.execute(FURNISH).await?;
    tried::prepare(&mut administrator).await?;
    let objects = objects(&mut administrator).await?;
    // GIVEN traps
    administrator.execute(PLANT).await?;
    let (mut calls, mut refused) = (0, Vec::new());
    for role in ROLES {
        // WHEN each role calls everything that it may, with an honest path and with a stranger's at its head
        let mut attempted = Vec::new();
        for object in objects.iter().filter(|object| !is_inlined(&object.name)) {
            let granted = catalogue::rights(&mut administrator, role, object).await?;
            let is_called = |verb: &str| {
                granted.contains(verb)
                    && matches!((object.kind.as_str(), verb), ("function", _) | (_, "select"))
            };
            attempted.extend(
                attempts(object)
                    .into_iter()
                    .filter(|attempt| is_called(&attempt.verb)),
            );
        }
        for attempt in &mut attempted {
            // All rows: a view's expressions are worked out only for rows.
            attempt.statement = attempt.statement.trim_end_matches(" limit 0").to_owned();
        }
        attempted.extend(
            CALLS
                .iter()
                .filter(|(caller, _)| *caller == role)
                .map(|(_, call)| tried::call(call)),
        );
        calls += attempted.len();
        let honest = answers(&mut ground.connect(role).await?, &attempted).await?;
        let mut poisoned = ground.connect(role).await?;
        poisoned.execute(POISON).await?;
        let answered = answers(&mut poisoned, &attempted).await?;
        // THEN the answers are the same
        let is_refused =
            |(attempt, answer): &(&Attempt, &String)| attempt.verb == "call" && !answer.starts_with("OB000");
        let pairs = attempted.iter().zip(&honest).filter(is_refused);
        refused.extend(pairs.map(|(attempt, answer)| format!("{}: {answer}", attempt.statement)));
        for ((attempt, honest), answered) in attempted.iter().zip(honest).zip(answered) {
            assert_eq!(
                code(&answered),
                code(&honest),
                "{role}: {}: {answered}; {honest}",
                attempt.statement
            );
        }
        assert_eq!(sprung(&mut administrator).await?, 0, "{role} sprang a trap");
    }
    assert!(calls > 150, "only {calls} calls");
    // A topic that is none, and one that is not set aside.
    assert_eq!(refused.len(), 2, "{refused:?}");
    // AND a trap that is called is noticed
    let mut victim = ground.connect("producer").await?;
    victim.execute("set search_path = evil, pg_catalog").await?;
    let trapped = victim.execute("select 1 + 1").await;
    assert!(trapped.is_err_and(|error| error.to_string().contains("trap")));
    assert_eq!(sprung(&mut administrator).await?, 1);
    Ok(())
}

/// Without a path of their own, so that the server can inline them; ours call them under a fixed one.
fn is_inlined(name: &str) -> bool {
    [
        "outbox.new_event_id(",
        "outbox.time_refusal(",
        "outbox.partition_of(",
    ]
    .iter()
    .any(|inlined| name.starts_with(inlined))
}

fn code(answer: &str) -> &str {
    answer.split(' ').next().unwrap_or_default()
}

#[tokio::test]
async fn a_relay_takes_nothing_from_the_path_of_its_login() -> Result {
    // GIVEN a login of a relay, at the head of whose path lie traps
    let world = World::with_own_servers(Default::default(), Default::default()).await?;
    let mut administrator = world.connect().await?;
    administrator.execute(PLANT).await?;
    let name = login("relay");
    let login = format!(
        "create role {name} login in role outbox_relay, outbox_maintainer; alter role {name} set search_path = evil, public, pg_catalog"
    );
    administrator.execute(AssertSqlSafe(login)).await?;
    let url = world
        .database_url()
        .replacen("//postgres@", &format!("//{name}@"), 1);
    let path: String = sqlx::query_scalar("show search_path")
        .fetch_one(&mut PgConnection::connect(&url).await?)
        .await?;
    assert_eq!(path, "evil, public, pg_catalog");
    // WHEN it relays
    let mut relay = Relay::of(&world).set("DATABASE_URL", url).start()?;
    relay.leads().await?;
    administrator.execute("select outbox.append('t', '{}')").await?;
    let mut redis = world.redis().await?;
    system_tests::patience::until("the entry", std::time::Duration::from_secs(120), async || {
        let length: i64 = redis::cmd("XLEN").arg("outbox:t").query_async(&mut redis).await?;
        Ok((length == 1).then_some(()))
    })
    .await?;
    // THEN it has published, measured and looked after pieces without a step into a trap
    relay
        .logs("pieces looked after", std::time::Duration::from_secs(120))
        .await?;
    system_tests::patience::until("the gauges", std::time::Duration::from_secs(120), async || {
        Ok((relay.metric("outbox_ops_sampled_timestamp_seconds").await? > 0.0).then_some(()))
    })
    .await?;
    assert_eq!(sprung(&mut administrator).await?, 0);
    Ok(())
}
