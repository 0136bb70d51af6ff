//! What programs tell about their windows (AT-SPI), as one tree of JSON.
//!
//! Every program has its own pace and may hang: the tree is what came in time, and cut at a number of nodes.

use std::os::unix::net::UnixStream;
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use serde_json::{Map, Value, json};
use zbus::Connection;
use zbus::connection::{AuthMechanism, Builder};
use zbus::wire::{OwnedObjectPath, OwnedVariant};

use crate::desktop::Failure;

const REGISTRY: &str = "org.a11y.atspi.Registry";
const ROOT: &str = "/org/a11y/atspi/accessible/root";
const ACCESSIBLE: &str = "org.a11y.atspi.Accessible";
const COMPONENT: &str = "org.a11y.atspi.Component";
const TEXT: &str = "org.a11y.atspi.Text";
/// Numbers of states (`AtspiStateType`) that agents care about.
const STATES: [(u32, &str); 9] = [
    (1, "active"),
    (4, "checked"),
    (7, "editable"),
    (8, "enabled"),
    (10, "expanded"),
    (11, "focusable"),
    (12, "focused"),
    (23, "selected"),
    (25, "showing"),
];
const SHOWING: u32 = 25;
/// Longer texts are cut.
const LONGEST_TEXT: i32 = 2000;
/// Deeper than windows are made.
const DEEPEST: usize = 40;
/// Children of one node that are looked at: a list of thousands shows a screenful.
const MOST_CHILDREN: usize = 200;
/// All of it may take this long; a program that hangs must not hold up a picture.
const LIMIT: Duration = Duration::from_secs(3);

/// An object on the bus.
type Reference = (String, OwnedObjectPath);

/// The bus of one desktop.
#[derive(Debug)]
pub(super) struct Accessibility {
    bus: Connection,
}

impl Accessibility {
    pub(super) async fn connect(socket: UnixStream) -> Result<Self, Failure> {
        let bus = Builder::unix_stream(socket)
            .auth_mechanism(AuthMechanism::Anonymous)
            .build()
            .await
            .map_err(failed)?;
        Ok(Self { bus })
    }

    /// The windows of all programs that take part, if any does.
    pub(super) async fn tree(&self) -> Option<Value> {
        let root: Reference = (REGISTRY.into(), OwnedObjectPath::try_from(ROOT).ok()?);
        let programs = tokio::time::timeout(LIMIT, self.children(&root))
            .await
            .ok()?;
        let each = programs.iter().map(|program| async {
            // Each on its own: one that hangs does not hide the others.
            tokio::time::timeout(LIMIT, self.node(program, 0))
                .await
                .ok()?
        });
        let trees: Vec<Value> = join_all(each).await.into_iter().flatten().collect();
        (!trees.is_empty()).then_some(Value::Array(trees))
    }

    /// A node with what is below it; nothing when it is not on the screen.
    fn node<'a>(&'a self, at: &'a Reference, depth: usize) -> BoxFuture<'a, Option<Value>> {
        Box::pin(async move {
            let (role, states, children) =
                tokio::join!(self.role(at), self.states(at), self.children(at));
            let has = |state: u32| {
                states
                    .get(usize::try_from(state / 32).unwrap_or(0))
                    .is_some_and(|bits| bits & (1 << (state % 32)) != 0)
            };
            // Programs themselves are not on the screen, their windows are.
            if depth > 0 && !has(SHOWING) {
                return None;
            }
            let mut node = Map::new();
            node.insert("role".into(), role?.into());
            let (name, bounds, text) = tokio::join!(self.name(at), self.bounds(at), self.text(at));
            if let Some(name) = name.filter(|name| !name.is_empty()) {
                node.insert("name".into(), name.into());
            }
            if let Some(bounds) = bounds.filter(|_| depth > 0) {
                node.insert("bounds".into(), json!(bounds));
            }
            if let Some(text) = text.filter(|text| !text.is_empty()) {
                node.insert("text".into(), text.into());
            }
            let states: Vec<&str> = STATES
                .iter()
                .filter(|(state, _)| *state != SHOWING && has(*state))
                .map(|(_, name)| *name)
                .collect();
            if !states.is_empty() {
                node.insert("states".into(), json!(states));
            }
            if depth < DEEPEST {
                let below = children
                    .iter()
                    .take(MOST_CHILDREN)
                    .map(|child| self.node(child, depth + 1));
                let below: Vec<Value> = join_all(below).await.into_iter().flatten().collect();
                if !below.is_empty() {
                    node.insert("children".into(), Value::Array(below));
                }
            }
            Some(Value::Object(node))
        })
    }

    async fn children(&self, at: &Reference) -> Vec<Reference> {
        self.ask(at, ACCESSIBLE, "GetChildren", &())
            .await
            .unwrap_or_default()
    }

    async fn role(&self, at: &Reference) -> Option<String> {
        self.ask(at, ACCESSIBLE, "GetRoleName", &()).await
    }

    async fn states(&self, at: &Reference) -> Vec<u32> {
        self.ask(at, ACCESSIBLE, "GetState", &())
            .await
            .unwrap_or_default()
    }

    async fn bounds(&self, at: &Reference) -> Option<(i32, i32, i32, i32)> {
        // Of the screen, not of the window.
        self.ask(at, COMPONENT, "GetExtents", &0_u32).await
    }

    async fn text(&self, at: &Reference) -> Option<String> {
        self.ask(at, TEXT, "GetText", &(0_i32, LONGEST_TEXT)).await
    }

    async fn name(&self, at: &Reference) -> Option<String> {
        let properties = "org.freedesktop.DBus.Properties";
        let name: OwnedVariant = self
            .ask(at, properties, "Get", &(ACCESSIBLE, "Name"))
            .await?;
        name.try_into().ok()
    }

    /// One question; what is not answered, or not as expected, is not there.
    async fn ask<A, T>(
        &self,
        (program, path): &Reference,
        interface: &str,
        method: &str,
        arguments: &A,
    ) -> Option<T>
    where
        A: serde::Serialize + zbus::wire::DynamicType + Sync,
        T: for<'d> zbus::wire::DynamicDeserialize<'d>,
    {
        let answer = self
            .bus
            .call_method(
                Some(program.as_str()),
                path,
                Some(interface),
                method,
                arguments,
            )
            .await
            .ok()?;
        answer.body().deserialize().ok()
    }
}

fn failed(error: zbus::Error) -> Failure {
    Failure::System(std::io::Error::other(error))
}
