//! The HubSpot extractor: on the wire, on its bad days, and from saved pages.

pub mod bench;
mod days;
mod pages;
mod sandbox;
mod wire;
