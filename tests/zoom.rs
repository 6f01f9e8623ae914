//! The Zoom extractor: pages as published, on the wire, and as landed.

pub mod bench;
mod pages;
mod wire;
