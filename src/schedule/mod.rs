//! `marts schedule`: when each job of each organisation is due, what became of it, and what to do next.
//!
//! Each job has a time in its organisation's time zone: the specification's nine by default, any cron expression by
//! `[org.schedule]`. Jobs of one organisation that are due together are one run, and published in one transaction; so the
//! nine default times make six nights of one or two marts each, and one time for `all` makes one whole night.
//!
//! [`agenda`] decides. It is a pure function of the present instant, the configuration and the run ledger, so that a
//! scheduler that was killed, suspended or doubled has nothing to remember and nothing to repeat: what the ledger has is
//! done. [`Resident`] is the loop around it.

mod agenda;
mod board;
mod cron;
mod listen;
mod print;
mod resident;

pub(crate) use agenda::since;
pub use agenda::{Agenda, Task, agenda};
pub use board::Board;
pub use cron::{Cron, Fields};
pub use listen::{Watched, address, bind, serve};
pub use print::{File, Place, Platform, print};
pub use resident::{Ended, Resident, Stop};
