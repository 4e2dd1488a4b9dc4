//! From COMMIT returned to seen by a reader that blocks in XREAD, at a steady rate: by a schedule that waits for nobody, so that who is
//! slow does not slow it.

use std::sync::Arc;
use std::time::Duration;

use system_tests::Result;

use super::ground::Room;
use crate::speed::arrivals::Arrivals;
use crate::speed::flow::{Delays, Flow, Path};

/// The peer runs, and works. Events come at the moments of a seed; those of the time in which it warms up do not count.
pub(crate) async fn measure(
    room: &Room,
    rate: u32,
    [warms, lasts]: [Duration; 2],
    seed: u64,
) -> Result<Delays> {
    let peer = room.peer();
    let lasts = warms + lasts;
    let flow = Flow {
        arrivals: Arrivals { rate, lasts, seed },
        warms,
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
