//! The backend and its tools: reads parameters, bounds them by the configuration, and lets the session's hands act.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sandbox_plugin_api::prelude::*;

use crate::answer::{
    About, Chord, Clicked, Dragged, Kept, Keyed, Launched, Performed, Position, Pressed, Scrolled,
    Seen, Typed, Waited,
};
use crate::config::{Config, Kind, SessionConfig};
use crate::desktop::{Button, Failure, Input, Provider};
use crate::display::Display;
use crate::hands::{MOST_KEYS, Point};
use crate::keys::Key;
use crate::pool::Pool;
use crate::pyautogui::{self, Call};
use crate::qemu::Machines;
use crate::recording;
use crate::session::Session;
use crate::setup;

/// Longer texts are files.
const LONGEST_TEXT: usize = 100_000;
/// Calls in one program.
const MOST_CALLS: usize = 1000;

/// A desktop per session.
#[derive(Debug)]
pub struct Vm {
    config: Config,
    provider: Arc<dyn Provider>,
    pool: Arc<Pool>,
}

#[backend(
    name = "vm",
    description = "A desktop of your own: see its screen, use its mouse and keyboard, start programs on it."
)]
impl Vm {
    fn new(config: Config, env: &BackendEnv) -> Result<Self> {
        config.check().map_err(Error::config)?;
        let provider: Arc<dyn Provider> = match config.provider {
            Kind::Display => Arc::new(Display::new(&config)),
            Kind::Qemu => Arc::new(Machines::new(&config, env)),
        };
        let pool = Pool::new(Arc::clone(&provider), config.shape(), config.pool_size);
        Ok(Self {
            config,
            provider,
            pool,
        })
    }

    async fn warmup(&self) -> Result<()> {
        if self.config.recording_path.is_some() {
            recording::check()?;
        }
        self.provider.prepare(&self.config.shape()).await?;
        self.pool.fill();
        Ok(())
    }

    async fn probe(&self) -> Result<Value> {
        Ok(json!({ "pool": self.pool.stand() }))
    }

    async fn shutdown(&self) -> Result<()> {
        self.pool.close().await;
        self.provider.shutdown().await?;
        Ok(())
    }

    async fn initialize(&self, config: SessionConfig, info: &SessionInfo) -> Result<Session> {
        let shape = config.shape(&self.config)?;
        let desktop = self.pool.take(&shape).await?;
        let id = info.session_id();
        let session = Session::new(desktop, config.custom_name.as_deref(), id);
        let wanted = config.recording.unwrap_or(self.config.recording);
        if let Some(folder) = self.config.recording_path.as_deref().filter(|_| wanted) {
            session
                .record(folder, id, self.config.recording_fps)
                .await?;
        }
        let prepared = setup::carry_out(&config.setup, &*session.desktop, &self.config).await;
        if let Err(failure) = prepared {
            session.close().await?;
            return Err(failure.into());
        }
        Ok(session)
    }

    async fn cleanup(&self, session: &Session) -> Result<()> {
        session.close().await?;
        Ok(())
    }

    /// Take a picture of the screen, with the pointer. Coordinates of all other tools are its pixels, 0, 0 top left.
    #[tool(read_only, title = "Take a picture of the screen", example = "{}")]
    async fn screenshot(&self, session: &Session) -> Result<Reply> {
        let picture = session.desktop.picture().await?;
        let accessibility_tree = session.desktop.accessibility().await?;
        let size = [picture.width, picture.height];
        let png = tokio::task::spawn_blocking(move || picture.png()).await??;
        let seen = Seen {
            size,
            session: session.name.clone(),
            accessibility_tree,
        };
        Ok(Reply::new(seen)?.with_png(png))
    }

    /// Tell what this desktop is: its provider, its screen, and where a person can look at it, if the server lets them.
    #[tool(read_only, idempotent, title = "Describe the desktop", example = "{}")]
    async fn info(&self, session: &Session) -> Result<About> {
        Ok(About {
            session: session.name.clone(),
            provider: self.config.provider,
            size: session.desktop.size().await?,
            vnc: session.desktop.view(),
        })
    }

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

    /// Type text where the keyboard's focus is: any language, line ends as Enter. Click the field first.
    #[tool(
        "vm:type",
        destructive,
        title = "Type text",
        example = r#"{"text": "Hello 世界"}"#
    )]
    async fn type_text(
        &self,
        session: &Session,
        /// The text.
        text: String,
        /// Seconds between two characters.
        #[default(0.0)]
        interval: f64,
    ) -> Result<Typed> {
        let length = text.chars().count();
        if length > LONGEST_TEXT {
            let message = format!("expected at most {LONGEST_TEXT} characters, found {length}");
            return Err(Error::param("/text", message));
        }
        let interval = self.seconds("/interval", interval)?;
        session.hands.type_text(&text, interval).await?;
        Ok(Typed {
            typed: text,
            length,
        })
    }

    /// Tap a key: pyautogui's names (enter, tab, esc, f5, pagedown, ctrlleft, ...) or one character.
    #[tool(destructive, title = "Tap a key", example = r#"{"key": "enter"}"#)]
    async fn key(
        &self,
        session: &Session,
        /// The key's name.
        key: String,
    ) -> Result<Keyed> {
        let named = named("/key", &key)?;
        session.hands.hotkey(&[named]).await?;
        Ok(Keyed { key })
    }

    /// Press a key and keep it down until `vm:key_up`.
    #[tool(destructive, title = "Press a key", example = r#"{"key": "shift"}"#)]
    async fn key_down(
        &self,
        session: &Session,
        /// The key's name.
        key: String,
    ) -> Result<Keyed> {
        let named = named("/key", &key)?;
        session.hands.act(&[Input::KeyDown(named)]).await?;
        Ok(Keyed { key })
    }

    /// Let a key go.
    #[tool(destructive, title = "Release a key", example = r#"{"key": "shift"}"#)]
    async fn key_up(
        &self,
        session: &Session,
        /// The key's name.
        key: String,
    ) -> Result<Keyed> {
        let named = named("/key", &key)?;
        session.hands.act(&[Input::KeyUp(named)]).await?;
        Ok(Keyed { key })
    }

    /// Press keys together, as Ctrl and S.
    #[tool(
        destructive,
        title = "Press keys together",
        example = r#"{"keys": ["ctrl", "s"]}"#
    )]
    async fn hotkey(
        &self,
        session: &Session,
        /// The keys' names, in the order they go down.
        keys: Vec<String>,
    ) -> Result<Chord> {
        if keys.is_empty() || keys.len() > MOST_KEYS {
            let message = format!("expected 1 to {MOST_KEYS} keys, found {}", keys.len());
            return Err(Error::param("/keys", message));
        }
        let each = keys.iter().enumerate();
        let named = each.map(|(number, key)| named(&format!("/keys/{number}"), key));
        let named = named.collect::<Result<Vec<Key>, Failure>>()?;
        session.hands.hotkey(&named).await?;
        Ok(Chord { keys })
    }

    /// Wait, as for a program that is starting.
    #[tool(read_only, title = "Wait", example = r#"{"seconds": 0.1}"#)]
    async fn wait(
        &self,
        /// How long.
        #[default(1.0)]
        seconds: f64,
    ) -> Result<Waited> {
        tokio::time::sleep(self.seconds("/seconds", seconds)?).await;
        Ok(Waited { waited: seconds })
    }

    /// Say that the task is done.
    #[tool(read_only, idempotent, title = "The task is done", example = "{}")]
    async fn done(&self) -> Result<Value> {
        Ok(json!({ "done": true }))
    }

    /// Say that the task cannot be done, and why.
    #[tool(
        read_only,
        idempotent,
        title = "The task cannot be done",
        example = r#"{"reason": "no such file"}"#
    )]
    async fn fail(
        &self,
        /// Why.
        #[default(String::new())]
        reason: String,
    ) -> Result<Value> {
        Ok(json!({ "fail": true, "reason": reason }))
    }

    /// Carry out calls of pyautogui, as `pyautogui.click(100, 200)` or `pyautogui.hotkey('ctrl', 's')`, with literal
    /// arguments. They are read and checked as a whole first; `time.sleep` is understood too, other Python is not.
    #[tool(
        destructive,
        title = "Carry out pyautogui calls",
        example = r#"{"command": "pyautogui.moveTo(100, 200)\npyautogui.position()"}"#
    )]
    async fn pyautogui(
        &self,
        session: &Session,
        /// Lines of calls.
        command: Option<String>,
        /// The same, as a list.
        commands: Option<Vec<String>>,
    ) -> Result<Performed> {
        let calls = self.program(command, commands)?;
        let mut done = Performed {
            commands: calls.iter().map(|call| call.text.clone()).collect(),
            results: Vec::with_capacity(calls.len()),
        };
        for call in &calls {
            match pyautogui::perform(&call.action, &session.hands).await {
                Ok(result) => done.results.push(result),
                Err(failure) => return Err(stopped(failure, call, done)),
            }
        }
        Ok(done)
    }

    /// Start a program on the desktop and go on without waiting for its window.
    #[tool(
        destructive,
        title = "Start a program",
        example = r#"{"command": ["xterm"]}"#
    )]
    async fn launch(
        &self,
        session: &Session,
        /// The program and its arguments.
        command: Vec<String>,
    ) -> Result<Launched> {
        let pid = session.desktop.launch(&command).await?;
        Ok(Launched { pid })
    }

    /// Keep the desktop's state under a name, to come back to with `vm:restore`.
    #[tool(title = "Keep the desktop's state")]
    async fn snapshot(
        &self,
        session: &Session,
        /// The name.
        name: String,
    ) -> Result<Kept> {
        let begun = Instant::now();
        session.desktop.snapshot(&name).await?;
        let ms = begun.elapsed().as_millis();
        Ok(Kept { name, ms })
    }

    /// Go back to a state that `vm:snapshot` kept.
    #[tool(destructive, title = "Go back to a kept state")]
    async fn restore(
        &self,
        session: &Session,
        /// The name.
        name: String,
    ) -> Result<Kept> {
        let begun = Instant::now();
        session.desktop.restore(&name).await?;
        let ms = begun.elapsed().as_millis();
        Ok(Kept { name, ms })
    }

    /// The calls of a program, checked.
    fn program(&self, command: Option<String>, commands: Option<Vec<String>>) -> Result<Vec<Call>> {
        let texts = match (command, commands) {
            (Some(command), None) => vec![("/command".to_owned(), command)],
            (None, Some(commands)) => {
                let each = commands.into_iter().enumerate();
                each.map(|(number, text)| (format!("/commands/{number}"), text))
                    .collect()
            }
            _ => {
                return Err(Error::param(
                    "/command",
                    "expected either `command` or `commands`",
                ));
            }
        };
        let mut calls = Vec::new();
        for (pointer, text) in &texts {
            let read = pyautogui::read(text).map_err(|wrong| Error::param(pointer, wrong))?;
            calls.extend(read);
        }
        let pointer = texts.first().map_or("/commands", |(pointer, _)| pointer);
        if calls.is_empty() || calls.len() > MOST_CALLS {
            let message = format!("expected 1 to {MOST_CALLS} calls, found {}", calls.len());
            return Err(Error::param(pointer, message));
        }
        let times = calls.iter().map(|call| call.action.time());
        let time = times.fold(Duration::ZERO, Duration::saturating_add);
        if time.as_secs_f64() > self.config.max_seconds {
            let most = self.config.max_seconds;
            let message = format!("it would wait for {time:?} altogether; {most} s is the most");
            return Err(Error::param(pointer, message));
        }
        Ok(calls)
    }

    /// A number of seconds that a caller asked for.
    fn seconds(&self, pointer: &str, asked: f64) -> Result<Duration, Failure> {
        let most = self.config.max_seconds;
        if !(0.0..=most).contains(&asked) {
            let message = format!("expected 0 to {most} seconds, found {asked}");
            return Err(Failure::param(pointer, message));
        }
        Ok(Duration::from_secs_f64(asked))
    }
}

async fn on_screen(session: &Session, x: i32, y: i32) -> Result<Point, Failure> {
    session.hands.point(x.into(), y.into(), ["/x", "/y"]).await
}

fn named(pointer: &str, name: &str) -> Result<Key, Failure> {
    Key::named(name).map_err(|message| Failure::param(pointer, message))
}

/// The failure of one call of a program, with what was done before it.
fn stopped(failure: Failure, call: &Call, done: Performed) -> Error {
    let error = Error::from(failure);
    let message = format!("{}: {}", call.text, error.message());
    Error::new(error.code(), message).with_data(done)
}
