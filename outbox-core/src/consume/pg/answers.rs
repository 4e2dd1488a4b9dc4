//! Whether the server is there, after a connection to it was lost.

use super::{SOON, Store};

impl Store {
    /// Whether a connection can be had now: an idle one is tested before it is handed out, or a new one is made.
    pub(in crate::consume) async fn answers(&self) -> bool {
        let connection = self.acquire("looking whether the server answers");
        matches!(tokio::time::timeout(SOON, connection).await, Ok(Ok(_)))
    }
}
