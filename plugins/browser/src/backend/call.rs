//! What the tools share: how long a call may take, what is put right and told after it, and the checks of parameters.

use std::time::Duration;

use sandbox_plugin_api::prelude::*;
use tokio::time::Instant;

use super::Browser;
use crate::{
    answers::Noted,
    failure::{Fault, Outcome},
    page::{Session, Wanted},
};

/// The part of a call's time that is kept for its answer, so that it reaches the caller before the host gives up.
const HANDOVER: f64 = 0.05;
/// A longer one helps nobody.
const LONGEST_HANDOVER: Duration = Duration::from_secs(1);

impl Browser {
    /// When a call must be done: after what it asked for, and before the host gives up.
    pub(super) fn end(&self, ctx: &CallContext, asked: Option<u64>) -> Result<Instant> {
        let (milliseconds, most) = (
            asked.unwrap_or(self.config.timeout),
            self.config.max_timeout,
        );
        if !(1..=most).contains(&milliseconds) {
            let message = format!("expected 1 to {most} milliseconds, found {milliseconds}");
            return Err(Error::param("/timeout", message));
        }
        Ok(bounded(ctx, Duration::from_millis(milliseconds)))
    }

    /// When an element must have become usable.
    pub(super) fn soon(&self, ctx: &CallContext) -> Instant {
        bounded(ctx, Duration::from_millis(self.config.action_timeout))
    }
}

fn bounded(ctx: &CallContext, time: Duration) -> Instant {
    let left = ctx
        .time_left()
        .map(|left| left.saturating_sub(left.mul_f64(HANDOVER).min(LONGEST_HANDOVER)));
    Instant::now() + left.map_or(time, |left| left.min(time))
}

/// Does it, puts right what a fault left, and adds what happened around it.
pub(super) async fn done<T: Serialize>(
    session: &Session,
    deed: impl Future<Output = Outcome<T>>,
) -> Result<Noted<T>> {
    let _at_work = session.at_work();
    match deed.await {
        Ok(answer) => Ok(Noted {
            answer,
            notes: session.notes(),
        }),
        Err(fault) => {
            session.recover(&fault).await;
            // A wrong parameter says where it is wrong; what happened waits for the next answer.
            let tell = !matches!(fault, Fault::Param { .. } | Fault::Died);
            let notes = tell
                .then(|| session.notes())
                .filter(|notes| !notes.is_empty());
            let error = Error::from(fault);
            Err(match notes {
                Some(notes) => error.with_data(notes),
                None => error,
            })
        }
    }
}

pub(super) fn optional(
    selector: Option<String>,
    reference: Option<String>,
) -> Result<Option<Wanted>> {
    if selector.is_none() && reference.is_none() {
        return Ok(None);
    }
    Ok(Some(Wanted::new(selector, reference)?))
}

pub(super) fn at_most(pointer: &str, found: usize, limit: usize, what: &str) -> Result<()> {
    if found <= limit {
        return Ok(());
    }
    Err(Error::param(
        pointer,
        format!("expected at most {limit} {what}, found {found}"),
    ))
}
