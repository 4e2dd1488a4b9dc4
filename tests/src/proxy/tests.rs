//! Each fault does what its name says, and healing lets everything pass again.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{Fault, Proxy};
use crate::Result;

/// Longer than anything that is going to happen on loopback.
const NEVER: Duration = Duration::from_millis(150);
const SOON: Duration = Duration::from_secs(5);

/// A server that says on the channel what it received, and echoes it.
async fn echo() -> Result<(u16, mpsc::UnboundedReceiver<u8>)> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let port = listener.local_addr()?.port();
    let (sender, received) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let sender = sender.clone();
            tokio::spawn(async move {
                while let Ok(byte) = stream.read_u8().await {
                    // The test may be over.
                    sender.send(byte).ok();
                    if stream.write_u8(byte).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    Ok((port, received))
}

#[tokio::test]
async fn without_a_fault_and_after_healing_everything_passes() -> Result {
    let (port, _received) = echo().await?;
    let proxy = Proxy::before(port).await?;
    let mut stream = TcpStream::connect(("127.0.0.1", proxy.port())).await?;
    for byte in 0..100 {
        stream.write_u8(byte).await?;
        assert_eq!(stream.read_u8().await?, byte);
    }
    proxy.inflict(Fault::Hold);
    stream.write_u8(100).await?;
    assert!(
        timeout(NEVER, stream.read_u8()).await.is_err(),
        "something passed while everything was held"
    );
    proxy.heal();
    assert_eq!(timeout(SOON, stream.read_u8()).await??, 100);
    Ok(())
}

#[tokio::test]
async fn cut_and_reset_end_open_connections_and_new_ones() -> Result {
    let (port, _received) = echo().await?;
    for fault in [Fault::Cut, Fault::Reset] {
        let proxy = Proxy::before(port).await?;
        let mut stream = TcpStream::connect(("127.0.0.1", proxy.port())).await?;
        stream.write_u8(1).await?;
        assert_eq!(stream.read_u8().await?, 1);
        proxy.inflict(fault);
        let error = timeout(SOON, stream.read_u8())
            .await?
            .expect_err("the connection survived");
        let kinds = (
            std::io::ErrorKind::ConnectionReset,
            std::io::ErrorKind::UnexpectedEof,
        );
        assert_eq!(
            error.kind(),
            if fault == Fault::Reset { kinds.0 } else { kinds.1 },
            "{error}"
        );
        let mut stream = TcpStream::connect(("127.0.0.1", proxy.port())).await?;
        assert!(timeout(SOON, stream.read_u8()).await?.is_err());
    }
    Ok(())
}

#[tokio::test]
async fn reject_spares_open_connections() -> Result {
    let (port, _received) = echo().await?;
    let proxy = Proxy::before(port).await?;
    let mut open = TcpStream::connect(("127.0.0.1", proxy.port())).await?;
    open.write_u8(1).await?;
    assert_eq!(open.read_u8().await?, 1);
    proxy.inflict(Fault::Reject);
    let mut new = TcpStream::connect(("127.0.0.1", proxy.port())).await?;
    assert!(timeout(SOON, new.read_u8()).await?.is_err());
    open.write_u8(2).await?;
    assert_eq!(open.read_u8().await?, 2);
    Ok(())
}

#[tokio::test]
async fn after_a_lost_reply_the_server_has_what_was_sent() -> Result {
    let (port, mut received) = echo().await?;
    let proxy = Proxy::before(port).await?;
    let mut stream = TcpStream::connect(("127.0.0.1", proxy.port())).await?;
    proxy.inflict(Fault::FailAfterWrite);
    stream.write_u8(7).await?;
    assert_eq!(timeout(SOON, received.recv()).await?, Some(7));
    assert!(timeout(SOON, stream.read_u8()).await?.is_err(), "the reply came");
    Ok(())
}

#[tokio::test]
async fn slow_is_late_in_each_direction() -> Result {
    let (port, _received) = echo().await?;
    let proxy = Proxy::before(port).await?;
    proxy.inflict(Fault::Slow(Duration::from_millis(40)));
    let mut stream = TcpStream::connect(("127.0.0.1", proxy.port())).await?;
    let begun = Instant::now();
    stream.write_u8(1).await?;
    assert_eq!(stream.read_u8().await?, 1);
    assert!(
        begun.elapsed() >= Duration::from_millis(80),
        "{:?}",
        begun.elapsed()
    );
    Ok(())
}

#[tokio::test]
async fn one_way_held_lets_the_other_way_pass() -> Result {
    let (port, mut received) = echo().await?;
    let proxy = Proxy::before(port).await?;
    let mut stream = TcpStream::connect(("127.0.0.1", proxy.port())).await?;
    stream.write_u8(1).await?;
    assert_eq!(stream.read_u8().await?, 1);
    received.recv().await;
    proxy.inflict(Fault::HoldReplies);
    stream.write_u8(2).await?;
    assert_eq!(timeout(SOON, received.recv()).await?, Some(2));
    assert!(
        timeout(NEVER, stream.read_u8()).await.is_err(),
        "the reply passed"
    );
    assert!(proxy.toll() > 0);
    proxy.heal();
    assert_eq!(timeout(SOON, stream.read_u8()).await??, 2);
    proxy.inflict(Fault::HoldRequests);
    assert_eq!(proxy.toll(), 0, "nothing met it yet");
    stream.write_u8(3).await?;
    assert!(
        timeout(NEVER, received.recv()).await.is_err(),
        "the request passed"
    );
    assert!(proxy.toll() > 0);
    proxy.heal();
    assert_eq!(timeout(SOON, stream.read_u8()).await??, 3);
    Ok(())
}

#[tokio::test]
async fn who_is_accepted_and_hung_hears_nothing_and_who_is_there_goes_on() -> Result {
    let (port, _received) = echo().await?;
    let proxy = Proxy::before(port).await?;
    let mut open = TcpStream::connect(("127.0.0.1", proxy.port())).await?;
    open.write_u8(1).await?;
    assert_eq!(open.read_u8().await?, 1);
    proxy.inflict(Fault::Hang);
    let mut new = TcpStream::connect(("127.0.0.1", proxy.port())).await?;
    new.write_u8(2).await?;
    assert!(timeout(NEVER, new.read_u8()).await.is_err(), "it was answered");
    open.write_u8(3).await?;
    assert_eq!(timeout(SOON, open.read_u8()).await??, 3);
    assert_eq!(proxy.toll(), 1);
    Ok(())
}

#[tokio::test]
async fn after_so_many_bytes_everything_is_reset() -> Result {
    let (port, _received) = echo().await?;
    let proxy = Proxy::before(port).await?;
    let mut stream = TcpStream::connect(("127.0.0.1", proxy.port())).await?;
    proxy.inflict(Fault::CutAfter(5));
    for byte in [1, 2] {
        stream.write_u8(byte).await?;
        assert_eq!(timeout(SOON, stream.read_u8()).await??, byte);
    }
    // The fifth byte passes, the answer to it does not.
    stream.write_u8(3).await?;
    assert!(timeout(SOON, stream.read_u8()).await?.is_err());
    assert!(proxy.toll() > 0);
    Ok(())
}

#[tokio::test]
async fn throttled_and_jittered_data_takes_its_time() -> Result {
    let (port, _received) = echo().await?;
    let proxy = Proxy::before(port).await?;
    let late = Duration::from_millis(30);
    for fault in [Fault::Throttle(30), Fault::Jitter(late, late)] {
        proxy.inflict(fault);
        let mut stream = TcpStream::connect(("127.0.0.1", proxy.port())).await?;
        let begun = Instant::now();
        stream.write_u8(1).await?;
        assert_eq!(stream.read_u8().await?, 1);
        assert!(
            begun.elapsed() >= 2 * late,
            "{fault:?} took {:?}",
            begun.elapsed()
        );
        assert_eq!(proxy.toll(), 2);
    }
    Ok(())
}

#[tokio::test]
async fn words_bring_a_harm_that_keeps_them_back() -> Result {
    let (port, mut received) = echo().await?;
    let proxy = Proxy::before(port).await?;
    let mut client = TcpStream::connect(("127.0.0.1", proxy.port())).await?;
    // GIVEN a harm that waits for a word
    proxy.inflict_at("b", Fault::HoldRequests);
    client.write_all(b"a").await?;
    assert_eq!(timeout(SOON, received.recv()).await?, Some(b'a'));
    // WHEN it is said
    client.write_all(b"b").await?;
    timeout(SOON, proxy.is_inflicted()).await?;
    // THEN it does not arrive before the harm is over
    assert!(timeout(NEVER, received.recv()).await.is_err());
    proxy.heal();
    assert_eq!(timeout(SOON, received.recv()).await?, Some(b'b'));
    Ok(())
}

#[tokio::test]
async fn of_open_connections_as_many_end_as_are_told_and_new_ones_lead_elsewhere() -> Result {
    let (port, _received) = echo().await?;
    let (other, mut at_other) = echo().await?;
    let proxy = Proxy::before(port).await?;
    let mut open = Vec::new();
    for byte in 0..3 {
        let mut stream = TcpStream::connect(("127.0.0.1", proxy.port())).await?;
        stream.write_u8(byte).await?;
        assert_eq!(stream.read_u8().await?, byte);
        open.push(stream);
    }
    assert_eq!(proxy.knocks(), 6);
    proxy.end_open(1);
    let mut reads = JoinSet::new();
    for mut stream in open {
        reads.spawn(async move { stream.read_u8().await.is_err() });
    }
    let first = timeout(SOON, reads.join_next()).await?;
    assert!(matches!(first, Some(Ok(true))), "one was to end");
    assert!(
        timeout(NEVER, reads.join_next()).await.is_err(),
        "one alone was to end"
    );
    proxy.lead_to(other);
    proxy.end_open(u64::MAX);
    while let Some(ended) = timeout(SOON, reads.join_next()).await? {
        assert!(ended?);
    }
    let mut stream = TcpStream::connect(("127.0.0.1", proxy.port())).await?;
    stream.write_u8(9).await?;
    assert_eq!(at_other.recv().await, Some(9));
    Ok(())
}
