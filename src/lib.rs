//! `marts` fills the nine mart tables of the AIOP data mart schema every night.

pub mod audit;
pub mod cli;
pub mod clock;
pub mod compute;
pub mod config;
pub mod datasets;
pub mod extract;
pub mod jobs;
pub mod ledger;
pub mod periods;
pub mod postgres;
pub mod publish;
pub mod run;
pub mod sandbox;
pub mod staging;
