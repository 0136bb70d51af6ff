//! The mouse.

use sandbox_plugin_api::prelude::*;

use super::Vm;
use crate::answer::{Clicked, Dragged, Position, Pressed, Scrolled};
use crate::desktop::{Button, Failure, Input};
use crate::hands::Point;
use crate::session::Session;

#[tools(mouse)]
impl Vm {
    /// Click once.
    #[tool(destructive, title = "Click", example = r#"{"x": 100, "y": 200}"#)]
    async fn click(
        &self,
        session: &Session,
        /// Pixels from the left.
        x: i32,
        /// Pixels from the top.
        y: i32,
        /// The button: left, middle or right.
        #[serde(default)]
        button: Button,
    ) -> Result<Clicked> {
        let clicked = on_screen(session, x, y).await?;
        session.hands.click(clicked, button, 1).await?;
        Ok(Clicked { clicked, button })
    }

    /// Double-click with the left button.
    #[tool(
        destructive,
        title = "Double-click",
        example = r#"{"x": 100, "y": 200}"#
    )]
    async fn double_click(
        &self,
        session: &Session,
        /// Pixels from the left.
        x: i32,
        /// Pixels from the top.
        y: i32,
    ) -> Result<Clicked> {
        let (clicked, button) = (on_screen(session, x, y).await?, Button::Left);
        session.hands.click(clicked, button, 2).await?;
        Ok(Clicked { clicked, button })
    }

    /// Click with the right button, as for a context menu.
    #[tool(
        destructive,
        title = "Right-click",
        example = r#"{"x": 100, "y": 200}"#
    )]
    async fn right_click(
        &self,
        session: &Session,
        /// Pixels from the left.
        x: i32,
        /// Pixels from the top.
        y: i32,
    ) -> Result<Clicked> {
        let (clicked, button) = (on_screen(session, x, y).await?, Button::Right);
        session.hands.click(clicked, button, 1).await?;
        Ok(Clicked { clicked, button })
    }

    /// Move the pointer without pressing anything, to see what hovering shows.
    #[tool(
        "vm:move",
        idempotent,
        title = "Move the pointer",
        example = r#"{"x": 100, "y": 200}"#
    )]
    async fn move_to(
        &self,
        session: &Session,
        /// Pixels from the left.
        x: i32,
        /// Pixels from the top.
        y: i32,
    ) -> Result<Position> {
        let position = on_screen(session, x, y).await?;
        session
            .hands
            .act(&[Input::Move(position.0, position.1)])
            .await?;
        Ok(Position { position })
    }

    /// Drag with the left button held: move windows and icons, draw, select text.
    #[tool(
        destructive,
        title = "Drag",
        example = r#"{"start_x": 100, "start_y": 100, "end_x": 200, "end_y": 150}"#
    )]
    async fn drag(
        &self,
        session: &Session,
        /// Where the button goes down: pixels from the left.
        start_x: i32,
        /// Where the button goes down: pixels from the top.
        start_y: i32,
        /// Where it comes up: pixels from the left.
        end_x: i32,
        /// Where it comes up: pixels from the top.
        end_y: i32,
        /// Seconds that the way takes.
        #[default(0.0)]
        duration: f64,
    ) -> Result<Dragged> {
        let duration = self.seconds("/duration", duration)?;
        let hands = &session.hands;
        let (x, y) = (f64::from(start_x), f64::from(start_y));
        let from = hands.point(x, y, ["/start_x", "/start_y"]).await?;
        let (x, y) = (f64::from(end_x), f64::from(end_y));
        let to = hands.point(x, y, ["/end_x", "/end_y"]).await?;
        hands.drag(Some(from), to, Button::Left, duration).await?;
        Ok(Dragged { from, to })
    }

    /// Turn the mouse wheel over a place.
    #[tool(title = "Scroll", example = r#"{"x": 400, "y": 300, "clicks": -3}"#)]
    async fn scroll(
        &self,
        session: &Session,
        /// Pixels from the left.
        x: i32,
        /// Pixels from the top.
        y: i32,
        /// Notches of the wheel; positive is up.
        #[schemars(range(min = -1000, max = 1000))]
        clicks: i32,
    ) -> Result<Scrolled> {
        let position = on_screen(session, x, y).await?;
        let inputs = [
            Input::Move(position.0, position.1),
            Input::Scroll(0, clicks),
        ];
        session.hands.act(&inputs).await?;
        Ok(Scrolled { position, clicks })
    }

    /// Press a mouse button where the pointer is, and keep it down until `vm:mouse_up`.
    #[tool(destructive, title = "Press a mouse button", example = "{}")]
    async fn mouse_down(
        &self,
        session: &Session,
        /// The button: left, middle or right.
        #[serde(default)]
        button: Button,
    ) -> Result<Pressed> {
        session.hands.act(&[Input::Press(button)]).await?;
        Ok(Pressed { button })
    }

    /// Let a mouse button go.
    #[tool(destructive, title = "Release a mouse button", example = "{}")]
    async fn mouse_up(
        &self,
        session: &Session,
        /// The button: left, middle or right.
        #[serde(default)]
        button: Button,
    ) -> Result<Pressed> {
        session.hands.act(&[Input::Release(button)]).await?;
        Ok(Pressed { button })
    }
}

async fn on_screen(session: &Session, x: i32, y: i32) -> Result<Point, Failure> {
    session.hands.point(x.into(), y.into(), ["/x", "/y"]).await
}
