//! What the tree promises: who names what, that what calls itself pure is pure, and that nothing lies about.

mod sources;

mod imports;

mod pure;

mod queries;

mod hygiene;

mod docs;

mod ablations;
