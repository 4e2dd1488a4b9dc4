//! What a recovery does besides going well: what it refuses, waits for, gives up, and finds on its way. On real servers.

mod apply;

mod refused;

mod given_up;

mod producers;

mod leases;

mod strangers;

mod late;

mod older;

mod shapes;

mod previews;
