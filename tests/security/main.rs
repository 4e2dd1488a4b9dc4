//! Who may do what: every role at every object, what a stranger's objects can change, and what leaves the system.

mod ground;

mod catalogue;

mod expected;

mod tried;

mod matrix;

mod logins;

mod paths;

mod statements;

mod hostile;

mod readiness;

mod canary;

mod tls;

mod replay;

#[path = "../../fuzz/src/targets.rs"]
pub mod targets;
