//! Two loads in turn, many times, so that what else the machine does falls on both alike.
//!
//! A process can be a fifth faster than another of the same program for as long as it lives, by where its memory and
//! its threads happen to be. Several of each side are measured.

use crate::{
    load::{Load, Plan},
    numbers::{mean, median, range, standard_error},
};

/// How many processes of each side are measured.
pub(crate) const PROCESSES: usize = 8;

/// What the rounds of both sides saw.
#[derive(Default)]
pub(crate) struct Rounds {
    /// The side that is measured.
    pub(crate) ours: Vec<Load>,
    /// The side that it is held against.
    pub(crate) theirs: Vec<Load>,
}

impl Rounds {
    /// Measures one process of each side. Whoever goes first in one round goes second in the next: a machine that
    /// grows slower or faster treats both alike.
    pub(crate) async fn measure(&mut self, ours: &Plan, theirs: &Plan) -> anyhow::Result<()> {
        self.ours.push(ours.run().await?);
        self.theirs.push(theirs.run().await?);
        self.theirs.push(theirs.run().await?);
        self.ours.push(ours.run().await?);
        Ok(())
    }

    /// Answers per second over all rounds: ours, theirs. Of a machine that is now fast and now slow, the median may be
    /// the one for us and the other for them; the mean has of both what both saw.
    pub(crate) fn rates(&self) -> (f64, f64) {
        let of =
            |loads: &[Load]| mean(&loads.iter().map(|load| load.per_second).collect::<Vec<_>>());
        (of(&self.ours), of(&self.theirs))
    }

    /// How far the baseline's rounds lie apart, and how sure the ratio of the rates is: by process, as the two rounds
    /// of one are alike.
    pub(crate) fn rates_noise(&self) -> String {
        let rate = |rounds: &[Load]| rounds.iter().map(|load| load.per_second).sum::<f64>();
        let processes = self.ours.chunks(2).zip(self.theirs.chunks(2));
        let ratios: Vec<_> = processes
            .map(|(ours, theirs)| rate(ours) / rate(theirs))
            .collect();
        let error = standard_error(&ratios);
        format!(
            "ratio +- {error:.2}, {} of {PROCESSES} processes",
            self.noise(|load| load.per_second)
        )
    }

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
