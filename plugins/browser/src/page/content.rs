//! What a page says: scripts and their results, and its text in three forms.

use chromiumoxide_cdp::cdp::js_protocol::runtime::{
    AwaitPromiseParams, CallArgument, CallFunctionOnParams, EvaluateParams, RemoteObjectId,
    TerminateExecutionParams,
};
use sandbox_plugin_api::prelude::*;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::{element::Wanted, tab::Tab};
use crate::failure::{Fault, Outcome};

/// The group of what tools hold in a page: given back when no tool is at work.
pub(super) const HELD: &str = "tools";

/// In which form a page's text is wanted.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Form {
    /// What a person reads.
    #[default]
    Text,
    /// The same with headings, lists, links and tables.
    Markdown,
    /// The source, as scripts have made it.
    Html,
}

/// A text that is cut at a limit.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Cut {
    /// The text.
    #[serde(skip)]
    pub(crate) text: String,
    /// Whether it is less than all.
    pub(crate) truncated: bool,
    /// The whole text's length in bytes.
    pub(crate) length: usize,
}

impl Cut {
    /// Cuts between characters.
    pub(crate) fn new(mut text: String, most: usize) -> Self {
        let length = text.len();
        text.truncate(text.floor_char_boundary(most));
        Self {
            truncated: text.len() < length,
            text,
            length,
        }
    }
}

/// What the browser says a value is.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Remote {
    #[serde(rename = "type")]
    kind: String,
    subtype: Option<String>,
    #[serde(default)]
    value: Value,
    unserializable_value: Option<String>,
    description: Option<String>,
    pub(super) object_id: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Evaluated {
    result: Remote,
    exception_details: Option<Exception>,
}

#[derive(Debug, Deserialize)]
struct Exception {
    text: String,
    exception: Option<Remote>,
}

impl Evaluated {
    fn is_illegal_return(&self) -> bool {
        let thrown = self
            .exception_details
            .as_ref()
            .and_then(|details| details.exception.as_ref());
        let description = thrown
            .and_then(|thrown| thrown.description.as_deref())
            .unwrap_or_default();
        description.starts_with("SyntaxError: Illegal return statement")
    }
}

impl Exception {
    fn message(self) -> String {
        let described =
            self.exception
                .and_then(|thrown| match (thrown.description, thrown.value) {
                    (Some(description), _) => Some(description),
                    (None, Value::Null) => None,
                    (None, value) => Some(value.to_string()),
                });
        let mut message = described.unwrap_or(self.text);
        message.truncate(message.floor_char_boundary(2000));
        message
    }
}

/// Runs a script of the caller's and gives its result as JSON.
pub(crate) async fn evaluate(
    tab: &Tab,
    script: &str,
    most: usize,
    deadline: Instant,
) -> Outcome<Value> {
    let result = result_of(tab, script, deadline).await;
    if matches!(result, Err(Fault::TimedOut(_))) {
        // A loop without end would keep the page from everything else.
        tab.tell(&TerminateExecutionParams::default());
        return Err(Fault::timed_out(
            "the script did not end in time, and was stopped",
        ));
    }
    let value = value_of(result?)?;
    let size = serde_json::to_vec(&value).map_or(0, |json| json.len());
    if size > most {
        return Err(Fault::failed(format!(
            "the result has {size} bytes of JSON, and at most {most} are allowed: return less"
        )));
    }
    Ok(value)
}

async fn result_of(tab: &Tab, script: &str, deadline: Instant) -> Outcome<Evaluated> {
    let mut evaluated = run(tab, script, deadline).await?;
    // Agents write `return …` and functions too: what they mean is plain.
    if evaluated.is_illegal_return() {
        evaluated = run(tab, &format!("(async () => {{\n{script}\n}})()"), deadline).await?;
    } else if evaluated.exception_details.is_none() && evaluated.result.kind == "function" {
        let script = script.trim_end().trim_end_matches(';');
        evaluated = run(tab, &format!("({script}\n)()"), deadline).await?;
    }
    let Some(object) = evaluated
        .result
        .object_id
        .clone()
        .filter(|_| evaluated.exception_details.is_none())
    else {
        return Ok(evaluated);
    };
    let object = RemoteObjectId::new(object);
    match evaluated.result.subtype.as_deref() {
        Some("node") => Ok(evaluated),
        Some("promise") => {
            let params = AwaitPromiseParams {
                return_by_value: Some(true),
                ..AwaitPromiseParams::new(object)
            };
            tab.call_as(&params, deadline).await
        }
        _ => {
            let params = CallFunctionOnParams {
                object_id: Some(object),
                return_by_value: Some(true),
                ..CallFunctionOnParams::new("function() { return this }")
            };
            tab.call_as(&params, deadline).await
        }
    }
}

/// As in a console: `const` may be said twice, and `await` stand anywhere.
async fn run(tab: &Tab, script: &str, deadline: Instant) -> Outcome<Evaluated> {
    let params = EvaluateParams {
        user_gesture: Some(true),
        repl_mode: Some(true),
        object_group: Some(HELD.to_owned()),
        ..EvaluateParams::new(script)
    };
    tab.call_as(&params, deadline).await
}

fn value_of(evaluated: Evaluated) -> Outcome<Value> {
    if let Some(exception) = evaluated.exception_details {
        return Err(Fault::failed(format!(
            "the script failed: {}",
            exception.message()
        )));
    }
    let result = evaluated.result;
    if let Some(text) = result.unserializable_value {
        return Ok(Value::String(text));
    }
    let odd = matches!(result.kind.as_str(), "function" | "symbol")
        || result.subtype.as_deref() == Some("node");
    Ok(if odd {
        result.description.map_or(Value::Null, Value::String)
    } else {
        result.value
    })
}

/// Runs a script of ours, whose result has a type.
pub(super) async fn evaluate_as<T: DeserializeOwned>(
    tab: &Tab,
    script: &str,
    deadline: Instant,
) -> Outcome<T> {
    let params = EvaluateParams {
        return_by_value: Some(true),
        ..EvaluateParams::new(script)
    };
    typed(tab.call_as(&params, deadline).await?)
}

/// Runs a function of ours on something in the page.
pub(super) async fn call_on<T: DeserializeOwned>(
    tab: &Tab,
    object: &str,
    function: &str,
    arguments: Vec<CallArgument>,
    deadline: Instant,
) -> Outcome<T> {
    let params = CallFunctionOnParams {
        object_id: Some(RemoteObjectId::new(object)),
        arguments: Some(arguments),
        return_by_value: Some(true),
        await_promise: Some(true),
        user_gesture: Some(true),
        ..CallFunctionOnParams::new(function)
    };
    typed(tab.call_as(&params, deadline).await?)
}

/// An argument that is a value.
pub(super) fn argument(value: impl Serialize) -> CallArgument {
    CallArgument {
        value: serde_json::to_value(value).ok(),
        ..Default::default()
    }
}

fn typed<T: DeserializeOwned>(evaluated: Evaluated) -> Outcome<T> {
    if let Some(exception) = evaluated.exception_details {
        return Err(Fault::failed(format!(
            "the page got in the way: {}",
            exception.message()
        )));
    }
    serde_json::from_value(evaluated.result.value)
        .map_err(|error| Fault::failed(format!("the page got in the way: {error}")))
}

/// Something in the page that an expression of ours finds; `None` for null.
pub(super) async fn object(
    tab: &Tab,
    expression: &str,
    deadline: Instant,
) -> Outcome<Result<Option<String>, String>> {
    let params = EvaluateParams {
        object_group: Some(HELD.to_owned()),
        ..EvaluateParams::new(expression)
    };
    let evaluated: Evaluated = tab.call_as(&params, deadline).await?;
    Ok(match evaluated.exception_details {
        Some(exception) => Err(exception.message()),
        None => Ok(evaluated.result.object_id),
    })
}

/// A page's text, or that of one element.
pub(crate) async fn text(
    tab: &Tab,
    wanted: &Wanted,
    form: Form,
    most: usize,
    deadline: Instant,
) -> Outcome<Cut> {
    let element = wanted.present(tab, deadline).await?;
    let property = if form == Form::Text {
        "innerText"
    } else {
        "outerHTML"
    };
    // Where there is no layout, in SVG for example, there is no inner text.
    let function = format!("function() {{ return this.{property} ?? this.textContent ?? '' }}");
    let text: String = call_on(tab, &element, &function, Vec::new(), deadline).await?;
    if form != Form::Markdown {
        return Ok(Cut::new(text, most));
    }
    let converted = tokio::task::spawn_blocking(move || {
        let converter = htmd::HtmlToMarkdown::builder()
            .skip_tags(vec![
                "script", "style", "noscript", "template", "head", "svg", "iframe",
            ])
            .build();
        converter.convert(&text)
    });
    match converted.await {
        Ok(Ok(markdown)) => Ok(Cut::new(markdown, most)),
        Ok(Err(error)) => Err(Fault::failed(format!(
            "the page cannot be written as Markdown: {error}"
        ))),
        Err(_) => Err(Fault::failed("the page cannot be written as Markdown")),
    }
}
