mod plan;
pub use plan::{Plan, Wanted, Window, plan, source_for};
