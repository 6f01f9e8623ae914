//! The source systems, simulated on the wire.

pub mod tds;
