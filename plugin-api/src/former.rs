//! [`FormerKeys`]: what a configuration's schema says about keys that it has no longer. Owns the form of the schema
//! keyword `x-former`; reading it is the host's business, and plugins never see such a key.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

/// Keys that a configuration had under an earlier version, or under another server, each with what becomes of it: for
/// operators who bring such a file.
///
/// It stands in the schema as `x-former`, beside the properties. The host goes by it before it checks a configuration
/// and makes the backend, so the configuration's own type has none of these keys:
///
/// ```
/// use sandbox_plugin_api::{former::FormerKeys, prelude::*, schema::schema_of};
///
/// #[derive(Deserialize, JsonSchema)]
/// #[serde(deny_unknown_fields)]
/// #[schemars(extend("x-former" = former()))]
/// struct Config {
///     /// Where shells start.
///     default_cwd: String,
/// }
///
/// fn former() -> FormerKeys {
///     FormerKeys::new()
///         .renamed("cwd", "default_cwd")
///         .without_effect("nice", "commands have a share of the processor, set by `limits.cpus`")
///         .refused("image", "commands run in no container", "remove it; `mounts` shows them more files")
///         .needless("shell_type", ["local"])
///         .refused("shell_type", "commands run on this machine", "remove it")
/// }
///
/// let schema = schema_of::<Config>();
/// let former = &schema.as_value()["x-former"];
/// assert_eq!(former["cwd"], json!({ "now": "default_cwd" }));
/// assert_eq!(former["shell_type"]["needless"], json!(["local"]));
/// ```
///
/// Each function adds to what was said about its key before. The host looks at a value in this order: it is needless;
/// the key is renamed; the key has no effect; the key is refused.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct FormerKeys(BTreeMap<&'static str, Former>);

#[derive(Clone, Debug, Default, Serialize)]
struct Former {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    needless: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    now: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<&'static str>,
}

impl FormerKeys {
    /// No keys.
    pub fn new() -> Self {
        Self::default()
    }

    /// `key` is called `now` here and takes the same values. A configuration with both is refused.
    #[must_use]
    pub fn renamed(mut self, key: &'static str, now: &'static str) -> Self {
        self.of(key).now = Some(now);
        self
    }

    /// These values of `key` say what holds here anyway, and are passed over without a word. For a key that the
    /// configuration still has, these are values that count as absent.
    #[must_use]
    pub fn needless<V: Into<Value>>(
        mut self,
        key: &'static str,
        values: impl IntoIterator<Item = V>,
    ) -> Self {
        let values = values.into_iter().map(Into::into);
        self.of(key).needless.extend(values);
        self
    }

    /// `key` is passed over, and the operator reads why, as the end of a sentence: "`KEY` has no effect: …". Only for
    /// what nobody relies on: a limit or a wall that is asked for and not there is to be refused.
    #[must_use]
    pub fn without_effect(mut self, key: &'static str, why: &'static str) -> Self {
        self.of(key).note = Some(why);
        self
    }

    /// `key` is refused. The operator reads the reason, as the end of a sentence ("`KEY` is not used here: …"), and the
    /// advice, which says what to do and what there is instead.
    #[must_use]
    pub fn refused(
        mut self,
        key: &'static str,
        reason: &'static str,
        advice: &'static str,
    ) -> Self {
        let former = self.of(key);
        former.reason = Some(reason);
        former.advice = Some(advice);
        self
    }

    /// `key` is still there, but takes other values: advice for who brings an old one.
    #[must_use]
    pub fn advised(mut self, key: &'static str, advice: &'static str) -> Self {
        self.of(key).advice = Some(advice);
        self
    }

    fn of(&mut self, key: &'static str) -> &mut Former {
        self.0.entry(key).or_default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_said_of_a_key_adds_up() {
        let keys = FormerKeys::new()
            .needless("proxy", [false])
            .refused("proxy", "there is none", "remove it")
            .needless("host", [Value::Null])
            .without_effect("host", "there is one machine")
            .advised("provider", "write \"qemu\"");
        assert_eq!(
            serde_json::to_value(keys).unwrap(),
            json!({
                "host": {"needless": [null], "note": "there is one machine"},
                "provider": {"advice": "write \"qemu\""},
                "proxy": {"needless": [false], "reason": "there is none", "advice": "remove it"},
            })
        );
    }
}
