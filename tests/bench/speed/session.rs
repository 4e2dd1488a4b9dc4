//! A session of Postgres on a blocking socket, for who must know when an answer came: between the socket and the clock stands no task
//! that another one holds up, and no other thread.
//!
//! Only what a measure needs: one prepared statement, parameters as text, answers that are looked at for errors alone. A password is not
//! asked for by the servers of a measure. An answer that takes longer than [`PATIENCE`] is an error.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use system_tests::{Failure, Result};
use tokio_postgres::config::Host;

const PATIENCE: Duration = Duration::from_secs(120);
/// Version 3.0 of the protocol.
const PROTOCOL: i32 = 3 << 16;

/// A session with one prepared statement.
pub(crate) struct Session {
    socket: TcpStream,
    sent: Vec<u8>,
    answer: Vec<u8>,
}

impl Session {
    /// Connects, and prepares the statement.
    ///
    /// # Errors
    /// When the server cannot be reached, wants a password, or refuses the statement.
    pub(crate) fn open(url: &str, statement: &str) -> Result<Self> {
        let config: tokio_postgres::Config = url.parse()?;
        let host = match config.get_hosts() {
            [Host::Tcp(host)] => host.clone(),
            other => return Err(Failure::new(format!("one host is wanted, not {other:?}"))),
        };
        let port = config.get_ports().first().copied().unwrap_or(5432);
        let socket = TcpStream::connect((host, port))?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let mut session = Self {
            socket,
            sent: Vec::new(),
            answer: Vec::new(),
        };
        let user = config.get_user().unwrap_or("postgres");
        let database = config.get_dbname().unwrap_or(user);
        let options = config.get_options().unwrap_or_default();
        let words = format!("user\0{user}\0database\0{database}\0options\0{options}\0\0");
        let length = i32::try_from(words.len() + 8)?;
        session.sent.extend(length.to_be_bytes());
        session.sent.extend(PROTOCOL.to_be_bytes());
        session.sent.extend(words.as_bytes());
        session.ask()?;
        let begin = session.begin(b'P');
        session
            .sent
            .extend(format!("statement\0{statement}\0").as_bytes());
        session.sent.extend(0_i16.to_be_bytes());
        session.end(begin)?;
        session.sync()?;
        session.ask()?;
        Ok(session)
    }

    /// Executes the statement, and returns when the server is ready for the next one: committed, where no transaction is open.
    ///
    /// # Errors
    /// With what the server said.
    pub(crate) fn execute(&mut self, parameters: &[Option<&str>]) -> Result {
        let bind = self.begin(b'B');
        self.sent.extend(b"\0statement\0");
        self.sent.extend(0_i16.to_be_bytes());
        self.sent.extend(i16::try_from(parameters.len())?.to_be_bytes());
        for parameter in parameters {
            let Some(text) = parameter else {
                // A null is a length below zero.
                self.sent.extend((-1_i32).to_be_bytes());
                continue;
            };
            self.sent.extend(i32::try_from(text.len())?.to_be_bytes());
            self.sent.extend(text.as_bytes());
        }
        self.sent.extend(0_i16.to_be_bytes());
        self.end(bind)?;
        let execute = self.begin(b'E');
        self.sent.extend(b"\0");
        self.sent.extend(0_i32.to_be_bytes());
        self.end(execute)?;
        self.sync()?;
        self.ask()
    }

    fn sync(&mut self) -> Result {
        let sync = self.begin(b'S');
        self.end(sync)
    }

    /// Opens a message, and says where its length goes.
    fn begin(&mut self, kind: u8) -> usize {
        self.sent.push(kind);
        self.sent.extend(0_i32.to_be_bytes());
        self.sent.len() - 4
    }

    fn end(&mut self, begin: usize) -> Result {
        let length = i32::try_from(self.sent.len() - begin)?;
        self.sent[begin..begin + 4].copy_from_slice(&length.to_be_bytes());
        Ok(())
    }

    /// Sends what was put together, and reads up to `ReadyForQuery`.
    fn ask(&mut self) -> Result {
        self.socket.write_all(&self.sent)?;
        self.sent.clear();
        self.answer.clear();
        let mut refused = None;
        let (mut at, mut page) = (0, [0; 4096]);
        loop {
            while let Some((kind, body, next)) = message(&self.answer, at) {
                match kind {
                    b'Z' => return refused.map_or(Ok(()), Err),
                    b'E' => refused = Some(Failure::new(said(body))),
                    b'R' if body != [0; 4] => return Err(Failure::new("the server wants a password")),
                    _ => {}
                }
                at = next;
            }
            match self.socket.read(&mut page)? {
                0 => return Err(refused.unwrap_or_else(|| Failure::new("the server closed the session"))),
                read => self.answer.extend(&page[..read]),
            }
        }
    }
}

/// Pure. The message at this place, if all of it is there: its kind, its body, and where the next one begins.
fn message(answer: &[u8], at: usize) -> Option<(u8, &[u8], usize)> {
    let kind = *answer.get(at)?;
    let length = answer.get(at + 1..at + 5)?.try_into().ok()?;
    let next = at + 1 + usize::try_from(i32::from_be_bytes(length)).ok()?;
    Some((kind, answer.get(at + 5..next)?, next))
}

/// Pure. The sentence of an error.
fn said(body: &[u8]) -> String {
    let mut fields = body.split(|byte| *byte == 0);
    let sentence = fields.find_map(|field| field.strip_prefix(b"M"));
    String::from_utf8_lossy(sentence.unwrap_or(b"an error without a sentence")).into_owned()
}

#[cfg(test)]
mod tests {
    use super::{message, said};

    #[test]
    fn a_message_is_read_when_all_of_it_is_there() {
        let ready = [b'C', 0, 0, 0, 5, 9, b'Z', 0, 0, 0, 5, b'I'];
        assert_eq!(message(&ready, 0), Some((b'C', &ready[5..6], 6)));
        assert_eq!(message(&ready, 6), Some((b'Z', &b"I"[..], 12)));
        assert_eq!(message(&ready, 12), None);
        assert_eq!(message(&ready[..11], 6), None);
    }

    #[test]
    fn an_error_is_told_in_its_own_words() {
        assert_eq!(
            said(b"SERROR\0C42703\0Mcolumn \"x\" does not exist\0P8\0\0"),
            "column \"x\" does not exist"
        );
    }
}
