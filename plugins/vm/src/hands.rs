//! What a person does with mouse and keyboard, made of single inputs: clicks, drags, hotkeys.
//!
//! One action at a time per desktop: two calls at once in one session do not mix their inputs. What an action holds
//! down it lets go of, also when it fails or its call is cancelled.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::desktop::{Button, Desktop, Failure, Input};
use crate::keys::Key;

/// Hands have ten fingers.
pub(crate) const MOST_KEYS: usize = 10;
/// Places that a drag goes through. Programs begin to drag only after some movement.
const DRAG_STEPS: u16 = 16;
/// The shortest time between two places of a slow drag: a screen shows no more.
const DRAG_PACE: Duration = Duration::from_millis(10);

/// A desktop with the right to act on it.
#[derive(Debug)]
pub(crate) struct Hands {
    desktop: Arc<dyn Desktop>,
    turn: Arc<Mutex<()>>,
}

/// A point on the screen, checked.
pub(crate) type Point = (u16, u16);

impl Hands {
    pub(crate) fn new(desktop: Arc<dyn Desktop>) -> Self {
        Self {
            desktop,
            turn: Arc::default(),
        }
    }

    /// A point that a caller named.
    pub(crate) async fn point(
        &self,
        x: f64,
        y: f64,
        pointers: [&str; 2],
    ) -> Result<Point, Failure> {
        let (width, height) = self.desktop.size().await?;
        let x = pixel(x, width, pointers[0])?;
        let y = pixel(y, height, pointers[1])?;
        Ok((x, y))
    }

    /// Inputs in one go.
    pub(crate) async fn act(&self, inputs: &[Input]) -> Result<(), Failure> {
        let _turn = self.turn.lock().await;
        self.desktop.act(inputs).await
    }

    /// Clicks `count` times.
    pub(crate) async fn click(&self, at: Point, button: Button, count: u32) -> Result<(), Failure> {
        self.click_at_pace(at, button, count, Duration::ZERO).await
    }

    /// Clicks `count` times with a pause between.
    pub(crate) async fn click_at_pace(
        &self,
        (x, y): Point,
        button: Button,
        count: u32,
        pause: Duration,
    ) -> Result<(), Failure> {
        let _turn = self.turn.lock().await;
        self.desktop.act(&[Input::Move(x, y)]).await?;
        for round in 0..count {
            if round > 0 && !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            let click = [Input::Press(button), Input::Release(button)];
            self.desktop.act(&click).await?;
        }
        Ok(())
    }

    /// Goes somewhere, slowly if asked to.
    pub(crate) async fn glide(&self, to: Point, duration: Duration) -> Result<(), Failure> {
        let _turn = self.turn.lock().await;
        if duration.is_zero() {
            return self.desktop.act(&[Input::Move(to.0, to.1)]).await;
        }
        let from = self.desktop.pointer().await?;
        self.travel(from, to, duration).await
    }

    pub(crate) async fn pointer(&self) -> Result<Point, Failure> {
        self.desktop.pointer().await
    }

    pub(crate) async fn size(&self) -> Result<Point, Failure> {
        self.desktop.size().await
    }

    /// Drags from one place to another.
    pub(crate) async fn drag(
        &self,
        from: Option<Point>,
        to: Point,
        button: Button,
        duration: Duration,
    ) -> Result<Point, Failure> {
        let turn = Arc::clone(&self.turn).lock_owned().await;
        let from = match from {
            Some(from) => from,
            None => self.desktop.pointer().await?,
        };
        let held = Held::new(&self.desktop, turn, Input::Release(button));
        self.desktop
            .act(&[Input::Move(from.0, from.1), Input::Press(button)])
            .await?;
        self.travel(from, to, duration).await?;
        held.let_go().await?;
        Ok(from)
    }

    /// Types text, with a pause after each character if asked to.
    pub(crate) async fn type_text(&self, text: &str, interval: Duration) -> Result<(), Failure> {
        let _turn = self.turn.lock().await;
        if interval.is_zero() {
            return self.desktop.act(&[Input::Text(text.into())]).await;
        }
        for character in text.chars() {
            self.desktop.act(&[Input::Text(character.into())]).await?;
            tokio::time::sleep(interval).await;
        }
        Ok(())
    }

    /// Presses keys in order and releases them in the opposite one.
    pub(crate) async fn hotkey(&self, keys: &[Key]) -> Result<(), Failure> {
        let _turn = self.turn.lock().await;
        let down = keys.iter().map(|key| Input::KeyDown(*key));
        let up: Vec<Input> = keys.iter().rev().map(|key| Input::KeyUp(*key)).collect();
        let all: Vec<Input> = down.chain(up.iter().cloned()).collect();
        let done = self.desktop.act(&all).await;
        if done.is_err() {
            // Whatever was pressed must not stay so; the first failure is the one that counts.
            for release in up {
                drop(self.desktop.act(&[release]).await);
            }
        }
        done
    }

    async fn travel(&self, from: Point, to: Point, duration: Duration) -> Result<(), Failure> {
        let fits = duration.as_millis() / DRAG_PACE.as_millis();
        let steps = u16::try_from(fits).unwrap_or(u16::MAX).max(DRAG_STEPS);
        let pause = duration / u32::from(steps);
        for step in 1..=steps {
            let place = Input::Move(
                between(from.0, to.0, step, steps),
                between(from.1, to.1, step, steps),
            );
            self.desktop.act(&[place]).await?;
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
        }
        Ok(())
    }
}

/// Something held down, let go of when dropped too: then in a task of its own, with the turn kept until it is done.
struct Held {
    desktop: Arc<dyn Desktop>,
    release: Option<Input>,
    turn: Option<OwnedMutexGuard<()>>,
}

impl Held {
    fn new(desktop: &Arc<dyn Desktop>, turn: OwnedMutexGuard<()>, release: Input) -> Self {
        Self {
            desktop: Arc::clone(desktop),
            release: Some(release),
            turn: Some(turn),
        }
    }

    async fn let_go(mut self) -> Result<(), Failure> {
        match self.release.take() {
            Some(release) => self.desktop.act(&[release]).await,
            None => Ok(()),
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(release) = self.release.take() {
            let (desktop, turn) = (Arc::clone(&self.desktop), self.turn.take());
            tokio::spawn(async move {
                drop(desktop.act(&[release]).await);
                drop(turn);
            });
        }
    }
}

/// A coordinate as a pixel of the screen.
fn pixel(value: f64, size: u16, pointer: &str) -> Result<u16, Failure> {
    let last = size.saturating_sub(1);
    let rounded = value.round();
    if !(0.0..=f64::from(last)).contains(&rounded) {
        let message = format!("expected a pixel of the screen, 0 to {last}, found {value}");
        return Err(Failure::param(pointer, message));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked against the screen's size above"
    )]
    Ok(rounded as u16)
}

/// The place after `step` of `steps` equal steps.
fn between(from: u16, to: u16, step: u16, steps: u16) -> u16 {
    let (from, to) = (i64::from(from), i64::from(to));
    let at = from + (to - from) * i64::from(step) / i64::from(steps);
    u16::try_from(at).unwrap_or_default()
}
