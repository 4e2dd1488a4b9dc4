//! A migration that is cut off, at every step (row 49 of docs/faults.md).

use sqlx::{Connection, Executor};
use system_tests::patience::until;
use system_tests::proxy::port_of;
use system_tests::{Fault, Invocation, Proxy, Relay, Result, Schema, World, stream};
use xtask::servers::{Postgres, Redis};

use crate::scene::LIMIT;

#[tokio::test]
async fn a_migration_cut_off_at_any_step_leaves_no_lock_and_is_run_again() -> Result {
    // GIVEN an empty database behind a link
    let world = World::with_own_servers(Postgres::options(), Redis::options()).await?;
    let empty = world.another_database(Schema::Empty).await?;
    let at = port_of(empty.url())?;
    let link = Proxy::before(at).await?;
    let url = link.url(empty.url(), at);
    let migrate = |url: String| {
        tokio::task::spawn_blocking(move || -> Result<_> {
            Invocation::new(&["migrate"])?.set("DATABASE_URL", url).ask()
        })
    };
    // WHEN the link is cut, later and later, until the migration is through
    let (mut cuts, mut pieces) = (0, 3);
    loop {
        link.inflict_after(pieces, Fault::Cut);
        let answer = migrate(url.clone()).await??;
        link.heal();
        if answer.code == 0 {
            break;
        }
        assert!(!answer.errors.contains("panicked"), "{}", answer.errors);
        cuts += 1;
        pieces += 2;
    }
    eprintln!("cut off {cuts} times");
    assert!(cuts > 5, "{cuts} cuts only: nothing was shown");
    // THEN nothing of it holds a lock, and there is nothing left to do
    let mut connection = empty.connect().await?;
    let locks: i64 = sqlx::query_scalar(
        "select count(*) from pg_locks where locktype = 'advisory'
            and database = (select oid from pg_database where datname = current_database())",
    )
    .fetch_one(&mut connection)
    .await?;
    assert_eq!(locks, 0);
    connection.close().await?;
    let again = migrate(empty.url().to_owned()).await??;
    assert_eq!(again.code, 0, "{}", again.errors);
    // AND it is the schema that an undisturbed migration makes
    let everything = "select string_agg(line, chr(10) order by line) from (
            select 'relation ' || c.oid::regclass || ' ' || c.relkind::text || ' ' || coalesce(c.relacl::text, '') as line
            from pg_class c where c.relnamespace in (select oid from pg_namespace where nspname in ('outbox', 'outbox_ops'))
            union all
            select 'function ' || p.oid::regprocedure || ' ' || md5(p.prosrc) || ' ' || coalesce(p.proacl::text, '') || ' ' || p.proowner::regrole
            from pg_proc p where p.pronamespace in (select oid from pg_namespace where nspname in ('outbox', 'outbox_ops'))
            union all
            select 'trigger ' || t.tgrelid::regclass || ' ' || t.tgname from pg_trigger t where not t.tgisinternal
            union all
            select 'constraint ' || coalesce(k.conrelid::regclass::text, '') || ' ' || k.conname || ' ' || pg_get_constraintdef(k.oid)
            from pg_constraint k where k.connamespace in (select oid from pg_namespace where nspname in ('outbox', 'outbox_ops'))
        ) made";
    let made: String = sqlx::query_scalar(everything)
        .fetch_one(&mut empty.connect().await?)
        .await?;
    let whole = world.another_database(Schema::Both).await?;
    let wanted: String = sqlx::query_scalar(everything)
        .fetch_one(&mut whole.connect().await?)
        .await?;
    assert_eq!(made, wanted);
    // AND it works
    let mut connection = empty.connect().await?;
    connection
        .execute("select outbox.append('orders.placed', '{}', key => 'k') from generate_series(1, 10)")
        .await?;
    let mut relay = Relay::of(&world).set("DATABASE_URL", empty.url()).start()?;
    let mut redis = world.redis().await?;
    until("what was appended there", LIMIT, async || {
        Ok((stream::length(&mut redis, "outbox:orders.placed").await? == 10).then_some(()))
    })
    .await?;
    assert!(relay.terminate().await?.success());
    Ok(())
}
