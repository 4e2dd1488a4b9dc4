//! Whether the server is there, after a connection to it was lost.

use sqlx::Connection;

use super::{SOON, Store};

impl Store {
    /// Whether it answers now, on a connection that was in use or a new one. One that was lost with the other says nothing: then
    /// another one is asked.
    pub(in crate::consume) async fn answers(&self) -> bool {
        let answer = async {
            for _ in 0..=self.connections() {
                let Ok(mut connection) = self.acquire("looking whether the server answers").await else {
                    return false;
                };
                if connection.ping().await.is_ok() {
                    return true;
                }
                connection.close();
            }
            false
        };
        matches!(tokio::time::timeout(SOON, answer).await, Ok(true))
    }
}
