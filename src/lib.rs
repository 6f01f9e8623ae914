//! `marts` fills the nine mart tables of the AIOP data mart schema every night.

pub mod clock;
pub mod config;
pub mod datasets;
pub mod extract;
pub mod jobs;
pub mod periods;
pub mod run;
pub mod sandbox;
pub mod staging;
