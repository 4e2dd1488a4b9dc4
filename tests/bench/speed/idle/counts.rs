//! What the servers counted: statements by database and text, commands by name.

use std::collections::BTreeMap;

use redis::aio::MultiplexedConnection;
use sqlx::PgConnection;
use system_tests::{Database, Failure, Result, World};

/// How much of a text is told.
const TEXT: usize = 90;
/// How many texts of each are told.
const TEXTS: usize = 24;

const CALLS: &str = "
    select queryid, query, calls from pg_stat_statements s join pg_database d on d.oid = s.dbid join pg_roles r on r.oid = s.userid
    where d.datname = $1 and not r.rolsuper";

/// Asks the servers. Its own questions are a superuser's, which are not counted, and `INFO`.
pub(super) struct Counts {
    connection: PgConnection,
    redis: MultiplexedConnection,
    /// The log's, which is the relay's, and the inbox', which is the consumer's.
    databases: [String; 2],
    begin: ([Texts; 2], BTreeMap<String, i64>),
}

/// Text and calls by id.
type Texts = BTreeMap<i64, (String, i64)>;

impl Counts {
    pub(super) async fn open(world: &World, inbox: &Database) -> Result<Self> {
        let mut counts = Self {
            connection: world.connect().await?,
            redis: world.redis().await?,
            databases: [world.log().name().to_owned(), inbox.name().to_owned()],
            begin: Default::default(),
        };
        counts.begin = (counts.texts().await?, counts.names().await?);
        if counts.begin.0.iter().any(BTreeMap::is_empty) {
            return Err(Failure::new(
                "no statement of the relay or of the consumer was counted before they idled",
            ));
        }
        Ok(counts)
    }

    /// Statements so far: of the relay, of the consumer.
    pub(super) async fn queries(&mut self) -> Result<[i64; 2]> {
        let texts = self.texts().await?;
        Ok(texts.map(|texts| texts.values().map(|(_, calls)| calls).sum()))
    }

    /// Commands so far.
    pub(super) async fn commands(&mut self) -> Result<i64> {
        Ok(self.names().await?.values().sum())
    }

    /// Who called what how often since this was opened, most first.
    pub(super) async fn texts_since_begin(&mut self) -> Result<Vec<(&'static str, String, i64)>> {
        let mut told = Vec::new();
        let now = self.texts().await?;
        for ((who, now), begin) in ["relay", "consumer"].into_iter().zip(now).zip(&self.begin.0) {
            let mut since: Vec<(&'static str, String, i64)> = now
                .into_iter()
                .map(|(id, (text, calls))| {
                    let before = begin.get(&id).map_or(0, |(_, calls)| *calls);
                    (who, shortened(&text), calls - before)
                })
                .filter(|(_, _, calls)| *calls > 0)
                .collect();
            since.sort_by_key(|(_, _, calls)| -calls);
            since.truncate(TEXTS);
            told.extend(since);
        }
        Ok(told)
    }

    /// Commands since this was opened, most first.
    pub(super) async fn commands_since_begin(&mut self) -> Result<Vec<(String, i64)>> {
        let now = self.names().await?;
        let mut since: Vec<(String, i64)> = now
            .into_iter()
            .map(|(name, calls)| {
                let before = self.begin.1.get(&name).copied().unwrap_or_default();
                (name, calls - before)
            })
            .filter(|(_, calls)| *calls > 0)
            .collect();
        since.sort_by_key(|(_, calls)| -calls);
        Ok(since)
    }

    async fn texts(&mut self) -> Result<[Texts; 2]> {
        let mut texts = [Texts::new(), Texts::new()];
        for (texts, database) in texts.iter_mut().zip(&self.databases) {
            let rows: Vec<(i64, String, i64)> = sqlx::query_as(CALLS)
                .bind(database)
                .fetch_all(&mut self.connection)
                .await?;
            for (id, text, calls) in rows {
                texts.entry(id).or_insert((text, 0)).1 += calls;
            }
        }
        Ok(texts)
    }

    async fn names(&mut self) -> Result<BTreeMap<String, i64>> {
        let said: String = redis::cmd("INFO")
            .arg("commandstats")
            .query_async(&mut self.redis)
            .await?;
        Ok(names(&said))
    }
}

/// Pure. Calls by command, but for the one with which this is asked.
fn names(said: &str) -> BTreeMap<String, i64> {
    said.lines()
        .filter_map(|line| {
            let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            let calls = rest.split(',').next()?.parse().ok()?;
            (name != "info").then(|| (name.to_owned(), calls))
        })
        .collect()
}

/// Pure. On one line, its first words: of ours they are a comment that says what it does.
fn shortened(text: &str) -> String {
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.trim_start_matches("-- ")
        .chars()
        .take(TEXT)
        .map(|letter| if matches!(letter, '`' | '|') { '\'' } else { letter })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{names, shortened};

    #[test]
    fn commands_are_counted_by_name_but_for_the_question() {
        let said = "# Commandstats\r\ncmdstat_info:calls=4,usec=5\r\ncmdstat_xread:calls=7,usec=3\r\ncmdstat_client|setname:calls=2,usec=1\r\n";
        let counted = names(said);
        assert_eq!(counted.values().sum::<i64>(), 9);
        assert_eq!(counted.get("xread"), Some(&7));
    }

    #[test]
    fn a_text_is_told_by_its_first_words() {
        assert_eq!(shortened("-- Renews\n  the `lease`"), "Renews the 'lease'");
        assert_eq!(shortened(&"x".repeat(500)).len(), super::TEXT);
    }
}
