//! What a night must outlive: being killed, cut off, left without disk, run beside another. After each the next run succeeds,
//! the marts are those of an undisturbed night, and no reader ever saw anything in between.

mod clock;
mod cuts;
mod damage;
mod disk;
mod freshness;
pub mod ground;
mod kills;
mod proxy;
mod reader;
mod together;
mod trial;
