//! What the tree promises: who names what, and that nothing lies about.
