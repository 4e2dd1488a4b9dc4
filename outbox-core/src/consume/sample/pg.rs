//! What waits, as the handlers' database has it.

use super::Waiting;
use crate::consume::Error;
use crate::consume::pg::{Store, bounded};

impl Store {
    /// What waits of the streams that a member applies.
    pub(super) async fn waiting(&self, member: &str) -> Result<Waiting, Error> {
        let query = sqlx::query_scalar(include_str!("../../../queries/consume/sample.sql"))
            .bind(self.consumer())
            .bind(member);
        let doing = "counting what waits";
        let text: String = bounded(doing, query.fetch_one(&self.pool)).await?;
        serde_json::from_str(&text).map_err(|source| Error::Postgres {
            doing,
            code: None,
            source: Box::new(source),
        })
    }
}
