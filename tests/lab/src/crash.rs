//! Every crash point, visited in turn: a real relay, a real member or a real command is ended, panics, fails or stalls right
//! there, under load, and what it leaves behind is judged by the witness.

mod ahead;

mod gone;

mod provoke;

mod scene;

mod streams;

mod table;

mod visit;

pub use table::{Action, Process, Provocation, Row, TABLE};
pub use visit::{visit, visit_all};
