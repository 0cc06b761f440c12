//! The load generator behind `docs/BENCHMARKS.md`. What it compares runs side by side in one run, for figures of different runs on
//! a shared machine say little about each other.
//!
//! `testbed` is where it runs, `load` and `writers` write, `readers` and `crowd` read, `journal` and `sessions` are the two
//! measurements, `figures` and `report` what becomes of them.

mod child;
mod crowd;
mod error;
mod figures;
mod journal;
mod load;
mod measured;
mod readers;
mod relay;
mod report;
mod sessions;
mod testbed;
mod writers;

pub use self::error::BenchError;
pub use self::measured::Plan as JournalPlan;
pub use self::relay::relay;
pub use self::sessions::Plan as SessionsPlan;
pub use self::testbed::{Tell, Testbed};

/// A measurement.
#[derive(Debug)]
pub enum Measurement {
    /// The cost of the journal for its writers, and the delay of its tail.
    Journal(JournalPlan),
    /// The cost of a delivery, of a session that waits, and of one that wants little.
    Sessions(SessionsPlan),
}

impl Measurement {
    /// Measures, and returns the report.
    pub async fn run(&self, testbed: &Testbed) -> Result<String, BenchError> {
        match self {
            Self::Journal(plan) => journal::run(testbed, plan).await,
            Self::Sessions(plan) => sessions::run(testbed, plan).await,
        }
    }
}
