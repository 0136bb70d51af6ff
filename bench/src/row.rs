//! What a measurement gives: a number, what it is held against, and whether that is good enough.

use std::fmt;

use serde::{Serialize, Serializer};

/// One line of the table.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    /// What was measured; the part before the first `/` is the measurement's.
    pub(crate) name: String,
    /// The number.
    pub(crate) value: f64,
    /// What it counts.
    pub(crate) unit: &'static str,
    /// The number it is held against, of the same unit, taken in the same run.
    pub(crate) baseline: Option<f64>,
    /// `value / baseline`.
    pub(crate) ratio: Option<f64>,
    /// What is wanted.
    pub(crate) goal: Option<Goal>,
    /// Whether it is so.
    pub(crate) met: Option<bool>,
    /// What one has to know to read the number.
    pub(crate) note: String,
}

/// What is wanted of a number.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Goal {
    /// The number stays below this.
    Below(f64),
    /// The number is at most this much more than its baseline.
    OverBaseline(f64),
    /// The number is at least this part of its baseline.
    RatioAtLeast(f64),
    /// The number is at most this multiple of its baseline.
    RatioAtMost(f64),
}

impl Row {
    /// A number that stands alone.
    pub(crate) fn new(name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self {
            name: name.into(),
            value,
            unit,
            baseline: None,
            ratio: None,
            goal: None,
            met: None,
            note: String::new(),
        }
    }

    /// Holds the number against this one.
    pub(crate) fn against(mut self, baseline: f64) -> Self {
        self.baseline = Some(baseline);
        self.ratio = Some(self.value / baseline);
        self
    }

    /// Says what is wanted; to be called after [`Row::against`].
    pub(crate) fn goal(mut self, goal: Goal) -> Self {
        self.goal = Some(goal);
        self.met = Some(goal.is_met(self.value, self.baseline));
        self
    }

    /// Says what one has to know to read the number.
    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }
}

impl Goal {
    fn is_met(self, value: f64, baseline: Option<f64>) -> bool {
        // Without a number there is nothing that could be good enough.
        let baseline = baseline.unwrap_or(f64::NAN);
        match self {
            Self::Below(limit) => value < limit,
            Self::OverBaseline(limit) => value - baseline <= limit,
            Self::RatioAtLeast(limit) => value / baseline >= limit,
            Self::RatioAtMost(limit) => value / baseline <= limit,
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Below(limit) => write!(f, "value < {limit}"),
            Self::OverBaseline(limit) => write!(f, "value - baseline <= {limit}"),
            Self::RatioAtLeast(limit) => write!(f, "ratio >= {limit}"),
            Self::RatioAtMost(limit) => write!(f, "ratio <= {limit}"),
        }
    }
}

impl Serialize for Goal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_met_on_its_own_side_of_the_limit_only() {
        let met = |value, goal| Row::new("x", value, "ns").against(100.0).goal(goal).met;
        assert_eq!(met(84.0, Goal::RatioAtLeast(0.85)), Some(false));
        assert_eq!(met(86.0, Goal::RatioAtLeast(0.85)), Some(true));
        assert_eq!(met(131.0, Goal::RatioAtMost(1.3)), Some(false));
        assert_eq!(met(129.0, Goal::RatioAtMost(1.3)), Some(true));
        assert_eq!(met(401.0, Goal::OverBaseline(300.0)), Some(false));
        assert_eq!(met(400.0, Goal::OverBaseline(300.0)), Some(true));
        assert_eq!(met(100.0, Goal::Below(100.0)), Some(false));
    }

    #[test]
    fn what_was_not_measured_meets_no_goal() {
        for goal in [
            Goal::RatioAtLeast(0.0),
            Goal::RatioAtMost(9.0),
            Goal::OverBaseline(9.0),
        ] {
            assert_eq!(Row::new("x", 1.0, "ns").goal(goal).met, Some(false));
        }
        assert_eq!(
            Row::new("x", f64::NAN, "ns").goal(Goal::Below(9.0)).met,
            Some(false)
        );
    }

    #[test]
    fn a_row_is_written_with_its_goal_in_words() {
        let row = Row::new("a/b", 90.0, "ns")
            .against(100.0)
            .goal(Goal::RatioAtLeast(0.85));
        let json = serde_json::to_value(row).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "name": "a/b", "value": 90.0, "unit": "ns", "baseline": 100.0, "ratio": 0.9,
                "goal": "ratio >= 0.85", "met": true, "note": "",
            })
        );
    }
}
