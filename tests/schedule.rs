//! `marts schedule` and the alerts: decisions on a simulated clock, and the binary.

mod agenda;
mod alerts;
mod delivery;
mod print;
mod process;
mod resident;
