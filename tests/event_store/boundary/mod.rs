//! Appending within a dynamic consistency boundary, on a real server.

mod bulk;

mod courses;

mod crowd;

mod cursors;

mod deciders;

mod judge;

mod kept;

mod late;

mod locks;

mod pages;

mod refused;

mod sql;
