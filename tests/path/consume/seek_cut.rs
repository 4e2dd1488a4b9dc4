//! A seek that is cut off at any of its steps: the group is where it was, or where the seek puts it, and never in between.

use std::sync::Arc;

use futures_util::stream as futures;
use outbox_core::consume::seek::{self, Done, Ends, Request, Target};
use outbox_core::tail;
use outbox_core::tail::pg::{Dial, Messages};
use sqlx::Executor;
use sqlx::postgres::PgPoolOptions;
use system_tests::arrival::backlog;
use system_tests::patience::until;
use system_tests::proxy::port_of;
use system_tests::{Failure, Fault, Login, Proxy, Result};
use uuid::Uuid;

use super::service::{GROUP, LIMIT, Service, TOPIC};

/// More steps than a seek has.
const STEPS_MAX: u64 = 200;

fn dial(url: &str) -> Dial {
    let url = url.to_owned();
    Arc::new(move |_| {
        let url = url.clone();
        Box::pin(async move {
            let (client, mut connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await?;
            let messages: Messages =
                Box::pin(futures::poll_fn(move |context| connection.poll_message(context)));
            Ok((client, messages))
        })
    })
}

fn request(target: Target, forget: bool) -> Request {
    Request {
        group: GROUP.to_owned(),
        topic: TOPIC.to_owned(),
        prefix: "outbox:".to_owned(),
        target,
        forget,
        reason: "rebuild".to_owned(),
    }
}

/// How a seek ends that is cut off.
#[derive(Clone, Copy)]
enum End {
    /// Its process is killed.
    Killed,
    /// It sees its connection break, and does what it can.
    Broken,
}

/// A server of the seek.
#[derive(Clone, Copy)]
enum Side {
    Postgres,
    Redis,
}

impl Service {
    fn ends(&self, postgres: &str, redis: &str) -> Result<Ends> {
        let login = Login::Rebuilder;
        let database = PgPoolOptions::new()
            .max_connections(3)
            .connect_lazy(&login.database_url(postgres))?;
        Ok(Ends {
            database,
            redis: redis::Client::open(login.redis_url(redis))?,
            log: Some((
                dial(&login.database_url(self.world.database_url())),
                tail::Options::default(),
            )),
        })
    }

    async fn seek_to(&self, target: Target, forget: bool) -> Result<Done> {
        let ends = self.ends(self.world.database_url(), self.world.redis_url())?;
        let request = request(target, forget);
        until(
            "a lease that what was cut off does not take any more",
            LIMIT,
            async || match seek::execute(&ends, &request, |_| {}).await {
                Err(error) if error.to_string().contains("is at work on") => {
                    self.end_leases().await?;
                    Ok(None)
                }
                done => Ok(Some(done?)),
            },
        )
        .await
    }

    /// A rebuild that is cut off when so many statements have reached a server. Tells whether it was: otherwise it had fewer.
    async fn cut_off(&self, side: Side, step: u64, end: End) -> Result<bool> {
        let (postgres, redis) = (self.world.database_url(), self.world.redis_url());
        let cut = match side {
            Side::Postgres => postgres,
            Side::Redis => redis,
        };
        let proxy = Proxy::before(port_of(cut)?).await?;
        let through = proxy.url(cut, port_of(cut)?);
        let ends = match side {
            Side::Postgres => self.ends(&through, redis)?,
            Side::Redis => self.ends(postgres, &through)?,
        };
        let fault = match end {
            End::Killed => Fault::Hold,
            End::Broken => Fault::Cut,
        };
        proxy.inflict_after(step, fault);
        let request = request(Target::Begin, true);
        let mut seek = Box::pin(seek::execute(&ends, &request, |_| {}));
        let done = match end {
            // What is held back is never seen: it dies here.
            End::Killed => tokio::select! {
                () = proxy.is_inflicted() => None,
                done = &mut seek => Some(done),
            },
            End::Broken => Some(tokio::time::timeout(LIMIT, &mut seek).await?),
        };
        drop(seek);
        if matches!(done, Some(Ok(_))) {
            return Ok(false);
        }
        drop(proxy);
        self.end_leases().await?;
        Ok(true)
    }

    async fn end_leases(&self) -> Result {
        let ended = "update outbox.consumer_lease set expires_at = '-infinity'";
        self.pool.execute(ended).await?;
        Ok(())
    }

    /// Lets a member apply what there is. Returns which events had an effect.
    async fn applied_now(&self) -> Result<Vec<Uuid>> {
        let last = self.last().await?;
        let member = self.member()?;
        self.all_passed().await?;
        until("no prelude any more", LIMIT, async || {
            Ok(self.preludes().await?.is_empty().then_some(()))
        })
        .await?;
        member.stop().await?;
        let effects = sqlx::query_scalar("select id from effect where n > $1 order by n").bind(last);
        Ok(effects.fetch_all(&self.pool).await?)
    }

    /// Whether the group stands where it stood, with all that it applied; or before all of it.
    async fn forgets_what_is_read_again(&self) -> Result<bool> {
        let stands = sqlx::query_scalar(
            "select not exists (select from outbox.log where id::text not in (select id from outbox.inbox))
                 or not exists (select from outbox.batch b join outbox.share s on s.batch_number = b.number
                                where (b.batch_id, s.first_position) <= (p.passed_batch, p.passed_position))
             from outbox.consumer_stream p",
        );
        Ok(stands.fetch_one(&self.pool).await?)
    }

    /// Every event that was ever committed, in order.
    async fn events(&self) -> Result<Vec<Uuid>> {
        Ok(sqlx::query_scalar("select id from outbox.log order by position")
            .fetch_all(&self.pool)
            .await?)
    }

    async fn append_one(&self) -> Result<Uuid> {
        backlog(&self.world, &[TOPIC.to_owned()], 1, 1, 50).await?;
        let last = self.events().await?.pop();
        let last = last.ok_or_else(|| Failure::new("nothing in the log"))?;
        until("the event on its stream", LIMIT, async || {
            let mut redis = self.world.redis().await?;
            let entries = system_tests::stream::entries(&mut redis, "outbox:orders.placed").await?;
            Ok(entries.iter().any(|entry| entry.event_id == last).then_some(()))
        })
        .await?;
        Ok(last)
    }

    /// Where a group goes on that leaves out nothing and reads nothing again.
    async fn end(&self) -> Result<Target> {
        let mut redis = self.world.redis().await?;
        let entries = system_tests::stream::entries(&mut redis, "outbox:orders.placed").await?;
        let last = entries
            .last()
            .ok_or_else(|| Failure::new("nothing on the stream"))?;
        Ok(format!("{}-{}", last.id.0, last.id.1 + 1).parse()?)
    }
}

async fn at_each_step(side: Side) -> Result {
    // GIVEN a group that applied everything, and a stream of which little is left
    let service = Service::new(60).await?;
    assert_eq!(service.applied_now().await?, service.events().await?);
    service.trim(10).await?;
    let mut cut = 0;
    for step in 1..STEPS_MAX {
        let end = if step % 2 == 0 { End::Killed } else { End::Broken };
        // WHEN a rebuild is cut off at a step
        if !service.cut_off(side, step, end).await? {
            break;
        }
        cut = step;
        // THEN what it forgot would be read again
        assert!(service.forgets_what_is_read_again().await?, "step {step}");
        if step % 3 == 0 {
            // AND undone: the group goes on where it was, THEN what is new is applied and nothing else
            let target = service.end().await?;
            let new = service.append_one().await?;
            service.seek_to(target, false).await?;
            assert_eq!(service.applied_now().await?, [new], "undone, step {step}");
        }
        // AND when it is run again, THEN everything is applied, once and in order
        service.seek_to(Target::Begin, true).await?;
        let (applied, events) = (service.applied_now().await?, service.events().await?);
        assert_eq!(applied, events, "step {step}");
    }
    eprintln!("cut off at {cut} steps");
    assert!((5..STEPS_MAX - 1).contains(&cut), "{cut} steps");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_cut_off_from_the_database_at_any_step_is_run_again_or_undone() -> Result {
    at_each_step(Side::Postgres).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_cut_off_from_the_streams_at_any_step_is_run_again_or_undone() -> Result {
    at_each_step(Side::Redis).await
}
