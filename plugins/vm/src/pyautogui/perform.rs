//! Carries an action out with the session's hands.

use serde_json::{Value, json};

use super::action::{Action, Place};
use crate::desktop::{Failure, Input};
use crate::hands::{Hands, Point};

/// Does it, and gives what the function would return.
pub(crate) async fn perform(action: &Action, hands: &Hands) -> Result<Value, Failure> {
    match action {
        Action::Click {
            at,
            button,
            count,
            interval,
            duration,
        } => {
            let at = point(*at, hands).await?;
            if !duration.is_zero() {
                hands.glide(at, *duration).await?;
            }
            hands.click_at_pace(at, *button, *count, *interval).await?;
        }
        Action::Move { to, duration } => hands.glide(point(*to, hands).await?, *duration).await?,
        Action::Drag {
            to,
            button,
            duration,
        } => {
            let to = point(*to, hands).await?;
            hands.drag(None, to, *button, *duration).await?;
        }
        Action::Hold { at, button, down } => {
            let (x, y) = point(*at, hands).await?;
            let press = if *down {
                Input::Press(*button)
            } else {
                Input::Release(*button)
            };
            hands.act(&[Input::Move(x, y), press]).await?;
        }
        Action::Scroll { at, right, up } => {
            let (x, y) = point(*at, hands).await?;
            hands
                .act(&[Input::Move(x, y), Input::Scroll(*right, *up)])
                .await?;
        }
        Action::Press {
            keys,
            times,
            interval,
        } => {
            for _ in 0..*times {
                for key in keys {
                    hands.hotkey(&[*key]).await?;
                    if !interval.is_zero() {
                        tokio::time::sleep(*interval).await;
                    }
                }
            }
        }
        Action::HoldKey { key, down } => {
            let input = if *down {
                Input::KeyDown(*key)
            } else {
                Input::KeyUp(*key)
            };
            hands.act(&[input]).await?;
        }
        Action::Hotkey { keys } => hands.hotkey(keys).await?,
        Action::Write { text, interval } => hands.type_text(text, *interval).await?,
        Action::Sleep(time) => tokio::time::sleep(*time).await,
        Action::Position => {
            let at = hands.pointer().await?;
            return Ok(json!(at));
        }
        Action::Size => {
            let size = hands.size().await?;
            return Ok(json!(size));
        }
    }
    Ok(Value::Null)
}

/// The pixel that a place is now.
async fn point(place: Place, hands: &Hands) -> Result<Point, Failure> {
    let (x, y) = hands.pointer().await?;
    let (x, y) = (f64::from(x), f64::from(y));
    let (x, y) = match place {
        Place::At(given) => (given.0.unwrap_or(x), given.1.unwrap_or(y)),
        Place::Off(given) => (x + given.0.unwrap_or(0.0), y + given.1.unwrap_or(0.0)),
    };
    hands.point(x, y, ["/x", "/y"]).await
}
