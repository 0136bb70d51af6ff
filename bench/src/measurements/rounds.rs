//! Two loads in turn, many times, so that what else the machine does falls on both alike.

use crate::{
    load::Load,
    numbers::{median, range},
};

/// What the rounds of both sides saw.
#[derive(Default)]
pub(crate) struct Rounds {
    /// The side that is measured.
    pub(crate) ours: Vec<Load>,
    /// The side that it is held against.
    pub(crate) theirs: Vec<Load>,
}

impl Rounds {
    /// The medians of a number: ours, theirs.
    pub(crate) fn medians(&self, number: fn(&Load) -> f64) -> (f64, f64) {
        let of = |loads: &[Load]| median(&loads.iter().map(number).collect::<Vec<_>>());
        (of(&self.ours), of(&self.theirs))
    }

    /// How far the baseline's own rounds lie apart, in words.
    pub(crate) fn noise(&self, number: fn(&Load) -> f64) -> String {
        let (low, high) = range(&self.theirs.iter().map(number).collect::<Vec<_>>());
        format!(
            "baseline {low:.0} to {high:.0} in {} rounds",
            self.theirs.len()
        )
    }
}
