//! The statements of the window.

use super::{Mark, Window};
use crate::consume::Error;
use crate::consume::pg::{Store, bounded};

impl Store {
    /// The streams that this group ever applied.
    pub(super) async fn streams(&self) -> Result<Vec<String>, Error> {
        let query = sqlx::query_scalar(include_str!("../../../../queries/consume/list_streams.sql"))
            .bind(self.consumer());
        bounded("reading the streams of the consumer", query.fetch_all(&self.pool)).await
    }

    /// Keeps what the relay says of these streams.
    pub(super) async fn keep_marks(&self, marks: &[(String, Mark)]) -> Result<(), Error> {
        let streams: Vec<&str> = marks.iter().map(|(stream, _)| stream.as_str()).collect();
        let retentions: Vec<Option<i64>> = marks
            .iter()
            .map(|(_, mark)| {
                mark.retention
                    .map(|seconds| i64::try_from(seconds).unwrap_or(i64::MAX))
            })
            .collect();
        let batches: Vec<String> = marks.iter().map(|(_, mark)| mark.batch_id.to_string()).collect();
        let query = sqlx::query(include_str!("../../../../queries/consume/keep_marks.sql"))
            .bind(self.consumer())
            .bind(streams)
            .bind(retentions)
            .bind(batches);
        bounded(
            "keeping what the relay says of the streams",
            query.execute(&self.pool),
        )
        .await
        .map(drop)
    }

    /// How long ids are kept, and why.
    pub(super) async fn window(&self) -> Result<Window, Error> {
        let query =
            sqlx::query_as(include_str!("../../../../queries/consume/read_window.sql")).bind(self.consumer());
        let (floor, reason, kept, is_forced, days) =
            bounded("reading how long ids are kept", query.fetch_one(&self.pool)).await?;
        Ok(Window {
            floor,
            reason,
            kept,
            is_forced,
            days,
        })
    }
}
