//! The case database: what is read of it and what is not, and mart_case_metrics from it.

mod mart;
mod night;
mod pull;
