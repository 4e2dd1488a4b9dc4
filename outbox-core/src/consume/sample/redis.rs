//! What is left on streams, as Redis has it.

use redis::aio::MultiplexedConnection;
use redis::{Client, FromRedisValue, Value};

use super::Left;
use crate::consume::Error;
use crate::consume::redis::{RESPONSE_LIMIT, ask, connect, entry_of};
use crate::event::EntryId;

/// One connection.
pub(super) struct Link {
    connection: MultiplexedConnection,
}

impl Link {
    pub(super) async fn connect(client: &Client) -> Result<Self, Error> {
        let connection = connect(client, RESPONSE_LIMIT).await?;
        Ok(Self { connection })
    }

    /// What is left of a stream for a group that has passed everything up to `passed`.
    pub(super) async fn left(
        &mut self,
        stream: &str,
        group: &str,
        passed: Option<&str>,
    ) -> Result<Left, Error> {
        let mut range = redis::cmd("XRANGE");
        let from = passed.map_or("-".to_owned(), |passed| format!("({passed}"));
        range.arg(stream).arg(from).arg("+").arg("COUNT").arg(1);
        let doing = "looking for the first entry that is left";
        let rows: Vec<Value> = ask(&mut self.connection, doing, &range).await?;
        let first: Option<EntryId> = rows.into_iter().find_map(entry_of).map(|entry| entry.id);
        if first.is_none() {
            return Ok(Left::default());
        }
        let mut groups = redis::cmd("XINFO");
        groups.arg("GROUPS").arg(stream);
        let entries = match ask::<Vec<Value>>(&mut self.connection, "counting what is left", &groups).await {
            Ok(groups) => groups.iter().find_map(|row| count(row, group)),
            // A user without the right to XINFO, and a stream without any group.
            Err(Error::Redis { code: Some(_), .. }) => None,
            Err(error) => return Err(error),
        };
        Ok(Left { first, entries })
    }
}

/// Delivered and not acknowledged, and not delivered, of one group among those that Redis lists.
fn count(row: &Value, group: &str) -> Option<u64> {
    let Value::Array(flat) = row else { return None };
    let field = |name: &str| {
        let mut pairs = flat.chunks_exact(2);
        pairs.find_map(|pair| (text(&pair[0]).as_deref() == Some(name)).then_some(&pair[1]))
    };
    if text(field("name")?).as_deref() != Some(group) {
        return None;
    }
    let number = |name: &str| match field(name)? {
        Value::Int(number) => u64::try_from(*number).ok(),
        _ => None,
    };
    Some(number("pending")? + number("lag")?)
}

fn text(value: &Value) -> Option<String> {
    String::from_redis_value_ref(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(lag: Option<Value>) -> Value {
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let mut row = vec![text("name"), text("stock"), text("consumers"), Value::Int(1)];
        row.extend([
            text("pending"),
            Value::Int(3),
            text("last-delivered-id"),
            text("1-1"),
        ]);
        row.extend(lag.into_iter().flat_map(|lag| [text("lag"), lag]));
        Value::Array(row)
    }

    #[test]
    fn what_is_left_is_pending_or_not_delivered() {
        assert_eq!(count(&row(Some(Value::Int(4))), "stock"), Some(7));
        assert_eq!(count(&row(Some(Value::Int(4))), "other"), None);
    }

    #[test]
    fn a_server_that_does_not_say_is_not_taken_for_none() {
        assert_eq!(count(&row(Some(Value::Nil)), "stock"), None);
        assert_eq!(count(&row(None), "stock"), None);
    }
}
