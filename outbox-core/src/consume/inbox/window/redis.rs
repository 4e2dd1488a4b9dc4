//! Reads the marks that the relay keeps beside its streams.

use redis::{Client, Value};

use super::mark::{self, Mark};
use crate::consume::Error;
use crate::consume::redis::{RESPONSE_LIMIT, ask_all, connect, entry_of};

/// How many are asked for at once.
const AT_ONCE: usize = 500;

/// The marks of these streams, where there are any. One that may not be read is as one that is not there.
pub(super) async fn read(
    client: &Client,
    prefix: &str,
    streams: &[String],
) -> Result<Vec<(String, Mark)>, Error> {
    let keyed: Vec<(&String, String)> = streams
        .iter()
        .filter_map(|stream| Some((stream, mark::key(prefix, stream)?)))
        .collect();
    let mut found = Vec::new();
    let mut connection = connect(client, RESPONSE_LIMIT).await?;
    for keyed in keyed.chunks(AT_ONCE) {
        let mut ask = redis::pipe();
        for (_, key) in keyed {
            ask.cmd("XREVRANGE")
                .arg(key)
                .arg("+")
                .arg("-")
                .arg("COUNT")
                .arg(1);
        }
        let answers = ask_all(&mut connection, "reading the marks of the streams", &ask).await?;
        for ((stream, _), answer) in keyed.iter().zip(answers) {
            if let Value::Array(mut entries) = answer
                && let Some(entry) = entries.pop().and_then(entry_of)
            {
                found.push(((*stream).clone(), mark::read(entry.id, &entry.fields)));
            }
        }
    }
    Ok(found)
}
