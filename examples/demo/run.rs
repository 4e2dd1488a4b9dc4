//! The demo from its first server to its verdict.

use std::collections::HashSet;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use sqlx::PgPool;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::audit::Findings;
use super::board::Board;
use super::crew::Crew;
use super::fault::{self, Fault, Plan};
use super::ground::Ground;
use super::pg::{self, Place, Table};
use super::report::Report;
use super::sample::Sampler;
use super::{STREAM, redis};
use crate::Result;
use crate::backstage::{connect, migrate};
use crate::shop::{Customer, Shop, Tally, keep_till, loyalty, stock};

const CUSTOMERS: i32 = 8;
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// How long what was sold may take to its last effect.
const REST_LIMIT: Duration = Duration::from_secs(30);
const INTERRUPTED: u8 = 130;

/// The shop on real servers, with relays and Redis killed under it, and an audit.
///
/// Private servers, or those of DATABASE_URL (an empty database) and REDIS_URL.
#[derive(Clone, Copy, Debug, Parser)]
#[command(name = "demo", version)]
pub struct Arguments {
    /// How long it takes
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(20..=86_400))]
    seconds: u32,

    /// Leave it running afterwards, until Ctrl-C, and print commands to try
    #[arg(long)]
    keep: bool,
}

/// Runs it and says by the exit code whether it passed. Removes everything it made.
///
/// # Errors
/// What kept it from coming to a verdict.
pub async fn run(arguments: Arguments) -> Result<ExitCode> {
    let begun = Instant::now();
    let stop = stop_token()?;
    let mut ground = tokio::task::block_in_place(Ground::choose)?;
    let board = Board::new(begun);
    let shown = match ground.prepare().await {
        Ok(()) => {
            board.say(&ground.describe());
            stop.run_until_cancelled(Box::pin(show(arguments, begun, &mut ground, &board)))
                .await
        }
        Err(error) => Some(Err(error)),
    };
    board.clear();
    let ended = match shown {
        Some(Ok((report, company))) => {
            println!("{report}");
            let passed = report.complaints().is_empty();
            if !passed {
                eprintln!("{}", company.crew.logs());
            }
            if arguments.keep {
                println!(
                    "\nRelays and consumers are still at work. To try:\n  {}",
                    ground.lines_to_try().join("\n  ")
                );
                println!("Ctrl-C ends it and removes everything.");
                stop.cancelled().await;
            }
            company.dismiss().await?;
            Ok(if passed {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            })
        }
        Some(Err(error)) => Err(error),
        None => {
            eprintln!("stopped before the end; nothing is left behind");
            Ok(ExitCode::from(INTERRUPTED))
        }
    };
    ground.leave().await?;
    ended
}

/// Cancelled by the first signal that asks for an end. A second one ends the process at once; the guards clean up then.
fn stop_token() -> Result<CancellationToken> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let token = CancellationToken::new();
    let stop = token.clone();
    tokio::spawn(async move {
        let mut next = async || {
            tokio::select! {
                _ = interrupt.recv() => (),
                _ = terminate.recv() => (),
                _ = hangup.recv() => (),
            }
        };
        next().await;
        stop.cancel();
        next().await;
        std::process::exit(INTERRUPTED.into());
    });
    Ok(token)
}

/// Pools on the three databases.
#[derive(Clone)]
struct Pools {
    shop: PgPool,
    stock: PgPool,
    loyalty: PgPool,
}

/// Who is still at work when the shop is closed.
struct Company {
    crew: Crew,
    consumers: JoinSet<Result<(), outbox_core::consume::Error>>,
    consuming: CancellationToken,
}

impl Company {
    async fn dismiss(mut self) -> Result {
        self.consuming.cancel();
        while let Some(ended) = self.consumers.join_next().await {
            ended??;
        }
        self.crew.stop().await
    }
}

async fn show(
    arguments: Arguments,
    begun: Instant,
    ground: &mut Ground,
    board: &Board,
) -> Result<(Report, Company)> {
    let plan = Plan::of(Duration::from_secs(arguments.seconds.into()));
    let pools = open(ground).await?;
    let mut company = Company {
        crew: Crew::start(&ground.shop, &ground.redis)?,
        consumers: JoinSet::new(),
        consuming: CancellationToken::new(),
    };
    let consumers = [
        stock::consumer(pools.stock.clone(), &ground.redis)?,
        loyalty::consumer(pools.loyalty.clone(), &ground.redis)?,
    ];
    for consumer in consumers {
        company.consumers.spawn(consumer.run(company.consuming.clone()));
    }
    let tally = Arc::new(Tally::default());
    let screen = screen(ground, &pools, &company.crew, &tally, board);
    let closing = CancellationToken::new();
    let sellers = sellers(&Shop::new(pools.shop.clone()), &tally, &closing);
    board.say(&format!(
        "the shop is open: {CUSTOMERS} customers, a till in plain SQL, two relays, two consumers"
    ));
    let faults = match fault::bring_about(plan, begun, ground, &mut company.crew, &pools.shop, board).await {
        Ok(faults) => faults,
        Err(error) => return Err(format!("{error}\n{}", company.crew.logs()).into()),
    };
    sleep_until(begun + plan.closing).await;
    closing.cancel();
    sellers.join_all().await;
    board.say("the shop is closed; what is on its way comes to rest");
    rest(&pools, &ground.redis).await?;
    drop(screen);
    let report = audit(&pools, ground, &tally, faults).await?;
    Ok((report, company))
}

/// Databases migrated, tables made.
async fn open(ground: &Ground) -> Result<Pools> {
    migrate(&ground.shop, false).await?;
    migrate(&ground.stock, true).await?;
    migrate(&ground.loyalty, true).await?;
    let pools = Pools {
        // A connection per customer, the till, the director and the screen.
        shop: connect(&ground.shop, "outbox-demo-shop", 12).await?,
        stock: connect(&ground.stock, "outbox-demo-stock", 6).await?,
        loyalty: connect(&ground.loyalty, "outbox-demo-loyalty", 6).await?,
    };
    Shop::new(pools.shop.clone()).open().await?;
    stock::open(&pools.stock).await?;
    loyalty::open(&pools.loyalty).await?;
    Ok(pools)
}

/// The tasks that look and paint; they end when they are dropped.
fn screen(ground: &Ground, pools: &Pools, crew: &Crew, tally: &Arc<Tally>, board: &Board) -> JoinSet<()> {
    let (samples, shown) = watch::channel(super::sample::Sample::default());
    let sampler = Sampler {
        tally: Arc::clone(tally),
        shop: pools.shop.clone(),
        stock: pools.stock.clone(),
        loyalty: pools.loyalty.clone(),
        redis: ground.redis.clone(),
        names: crew.names(),
    };
    let mut screen = JoinSet::new();
    screen.spawn(sampler.run(samples));
    screen.spawn(board.clone().paint(shown));
    screen
}

fn sellers(shop: &Shop, tally: &Arc<Tally>, closing: &CancellationToken) -> JoinSet<()> {
    let mut sellers = JoinSet::new();
    for number in 1..=CUSTOMERS {
        sellers.spawn(Customer::new(number, shop.clone(), Arc::clone(tally)).visit_until(closing.clone()));
    }
    sellers.spawn(keep_till(shop.clone(), Arc::clone(tally), closing.clone()));
    sellers
}

/// Waits until everything that was sold had its effects, or for so long that something is lost: the audit says what.
async fn rest(pools: &Pools, redis_url: &str) -> Result {
    let sold = pg::count(&pools.shop, Table::Changes).await?;
    let deadline = Instant::now() + REST_LIMIT;
    let mut connection = redis::open(redis_url).await?;
    while Instant::now() < deadline {
        let published = redis::length(&mut connection, STREAM).await?;
        let in_stock = pg::count(&pools.stock, Table::Movements).await?;
        let in_loyalty = pg::count(&pools.loyalty, Table::Ledger).await?;
        if [published, in_stock, in_loyalty]
            .iter()
            .all(|count| *count >= sold)
        {
            break;
        }
        sleep(LOOK_AGAIN).await;
    }
    Ok(())
}

async fn audit(pools: &Pools, ground: &Ground, tally: &Tally, faults: Vec<Fault>) -> Result<Report> {
    let happened: HashSet<_> = pg::steps(&pools.shop, Place::Shop).await?.into_iter().collect();
    let find = |steps: Vec<_>| Findings::of(&happened, &steps);
    let places = vec![
        (
            "events in the log",
            find(pg::steps(&pools.shop, Place::Log).await?),
        ),
        (
            "entries on the stream",
            find(redis::steps(&ground.redis, STREAM).await?),
        ),
        (
            "effects in stock",
            find(pg::steps(&pools.stock, Place::Stock).await?),
        ),
        (
            "effects in loyalty",
            find(pg::steps(&pools.loyalty, Place::Loyalty).await?),
        ),
    ];
    let dead_letters = pg::count(&pools.stock, Table::DeadLetters).await?
        + pg::count(&pools.loyalty, Table::DeadLetters).await?;
    Ok(Report {
        orders: pg::count(&pools.shop, Table::Orders).await?,
        changes: happened.len() as u64,
        at_the_till: tally.at_the_till(),
        rolled_back: tally.rolled_back(),
        held: tally.held(),
        failed: tally.failed(),
        failure: tally.failure(),
        places,
        shop_books: pg::shop_books(&pools.shop).await?,
        consumers_books: pg::consumers_books(&pools.stock, &pools.loyalty).await?,
        dead_letters,
        faults,
        own_redis: ground.has_own_redis(),
    })
}
