//! Harm done to the whole: processes killed and stopped, servers crashed and full, networks cut.
