//! From COMMIT returned to seen by a reader that blocks in XREAD, at a steady rate: by a schedule that waits for nobody, so that who is
//! slow does not slow it.

use std::sync::Arc;
use std::time::Duration;

use system_tests::Result;

use super::ground::Room;
use crate::speed::arrivals::Arrivals;
use crate::speed::flow::{Delays, Flow, Path};

/// This part of the time warms up and is not counted.
const WARM_UP: u32 = 5;

/// The peer runs, and works. Events come at the moments of a seed.
pub(crate) async fn measure(room: &Room, rate: u32, lasts: Duration, seed: u64) -> Result<Delays> {
    let peer = room.peer();
    let flow = Flow {
        arrivals: Arrivals { rate, lasts, seed },
        warms: lasts / WARM_UP,
    };
    let path = Path {
        database_url: room.database_url().to_owned(),
        append: peer.insert()?,
        dress: Arc::new(move |key, data| peer.payload(key, data)),
        redis_url: room.redis_url().to_owned(),
        stream: peer.stream().to_owned(),
        word: format!("at-{rate}"),
    };
    flow.run(path).await
}
