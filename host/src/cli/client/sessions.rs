//! `sandbox sessions`: the sessions of one worker.

use super::{
    connect::{self, ServerArgs, WorkerArgs},
    failure::Failure,
    output::{print, print_json, table, talk},
    pairs,
};
use clap::{Args, Subcommand};
use sandbox_client::{Client, Error};
use sandbox_protocol::{
    Code, Seconds, Timestamp,
    request::CreateSession,
    response::{SessionEntry, SessionList},
};
use serde::Serialize;
use std::{io, time::Duration};

/// List, create, refresh or destroy sessions on a running server
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  sandbox sessions                              the sessions of the worker `cli`
  sandbox sessions --worker agent-1             another worker's
  sandbox sessions create bash cwd=/tmp --name build
  sandbox sessions refresh bash
  sandbox sessions destroy --all")]
pub(crate) struct SessionsArgs {
    #[command(subcommand)]
    action: Option<Action>,

    /// Print as JSON
    #[arg(long, global = true)]
    json: bool,

    #[command(flatten)]
    worker: WorkerArgs,

    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the worker's sessions
    #[command(after_help = "\
Examples:
  sandbox sessions list
  sandbox sessions list --worker agent-1 --json")]
    List,
    /// Create a session, or find the one that is there
    Create(CreateArgs),
    /// Restart the time to live of one session, or of all
    #[command(after_help = "\
Examples:
  sandbox sessions refresh bash    one session
  sandbox sessions refresh         all of the worker's")]
    Refresh {
        /// The session's resource type; all, when left out
        resource_type: Option<String>,
    },
    /// Destroy sessions
    #[command(after_help = "\
Examples:
  sandbox sessions destroy bash vm
  sandbox sessions destroy --all --worker agent-1")]
    Destroy {
        /// The sessions' resource types
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        resource_types: Vec<String>,
        /// Destroy all the worker's sessions
        #[arg(long)]
        all: bool,
    },
}

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  sandbox sessions create bash
  sandbox sessions create bash cwd=/tmp --name build --ttl 3600
  echo '{\"cwd\": \"/tmp\"}' | sandbox sessions create bash -")]
struct CreateArgs {
    /// The resource type, such as bash
    resource_type: String,

    /// The session's configuration: one JSON object, key=value pairs, or - for JSON on stdin
    config: Vec<String>,

    /// Becomes part of the session's name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// How long the session lives unused
    #[arg(long, value_name = "SECONDS", value_parser = connect::seconds, allow_negative_numbers = true)]
    ttl: Option<Duration>,
}

/// Does what was asked with the worker's sessions.
pub(super) async fn run(args: &SessionsArgs) -> Result<(), Failure> {
    let client = args.server.connect_for(&args.worker)?;
    match &args.action {
        None | Some(Action::List) => list(&client, args.json).await,
        Some(Action::Create(create)) => self::create(&client, create, args.json).await,
        Some(Action::Refresh { resource_type }) => {
            refresh(&client, resource_type.as_deref(), args.json).await
        }
        Some(Action::Destroy {
            resource_types,
            all,
        }) => destroy(&client, resource_types, *all, args.json).await,
    }
}

async fn list(client: &Client, json: bool) -> Result<(), Failure> {
    let list = client.list_sessions().await?;
    if json {
        return Ok(print_json(&list)?);
    }
    if list.sessions.is_empty() {
        talk(&format!("worker `{}` has no sessions", list.worker_id));
        return Ok(());
    }
    Ok(print(&as_table(&list))?)
}

fn as_table(list: &SessionList) -> String {
    let headings = ["TYPE", "STATUS", "EXPIRES", "SESSION"].map(String::from);
    let rows: Vec<_> = std::iter::once(headings)
        .chain(list.sessions.iter().map(row))
        .collect();
    table(&rows)
}

fn row(session: &SessionEntry) -> [String; 4] {
    [
        session.resource_type.clone(),
        word(&session.status),
        until(session.expires_at),
        session.session_id.clone(),
    ]
}

async fn create(client: &Client, args: &CreateArgs, json: bool) -> Result<(), Failure> {
    let config = pairs::read(&args.config, &mut io::stdin().lock())?.undirected();
    let request = CreateSession {
        worker_id: None,
        resource_type: args.resource_type.clone(),
        session_config: config,
        custom_name: args.name.clone(),
        ttl: args.ttl.map(Seconds::from),
        auto_extend: true,
        trace_id: None,
    };
    let created = client.create_session(request).await.map_err(not_created)?;
    if json {
        return Ok(print_json(&created)?);
    }
    if created.status.is_some() {
        talk("the session was there already");
    }
    if let Some(message) = &created.compatibility_message {
        talk(message);
    }
    Ok(print(&created.session_id)?)
}

/// Why there is no session, and where the settings stand that a backend knows.
fn not_created(error: Error) -> Failure {
    let of_settings = error.code() == Some(Code::PARAMETER);
    let failure = Failure::from(error);
    if of_settings {
        failure.hint("`sandbox config schema --config FILE`, with the server's file, describes the settings of its backends")
    } else {
        failure
    }
}

async fn refresh(client: &Client, resource_type: Option<&str>, json: bool) -> Result<(), Failure> {
    let Some(resource_type) = resource_type else {
        let all = client.refresh_sessions().await?;
        if json {
            return Ok(print_json(&all)?);
        }
        let rows: Vec<_> = all
            .details
            .iter()
            .map(|(name, detail)| [name.clone(), until(detail.expires_at)])
            .collect();
        talk(&format!("{} refreshed", count(all.refreshed_count)));
        return if rows.is_empty() {
            Ok(())
        } else {
            Ok(print(&table(&rows))?)
        };
    };
    let one = client.refresh_session(resource_type).await?;
    if json {
        return Ok(print_json(&one)?);
    }
    Ok(print(&table(&[[one.session_id, until(one.expires_at)]]))?)
}

async fn destroy(
    client: &Client,
    resource_types: &[String],
    all: bool,
    json: bool,
) -> Result<(), Failure> {
    let outcomes = if all {
        client.destroy_all_sessions().await?
    } else {
        let mut outcomes = Vec::new();
        for resource_type in resource_types {
            let outcome = client.destroy_session(resource_type).await;
            outcomes.push((resource_type.clone(), outcome));
        }
        outcomes
    };
    let (mut destroyed, mut failed) = (Vec::new(), None);
    for (resource_type, outcome) in outcomes {
        match outcome {
            Ok(session) => destroyed.push(session),
            Err(error) => {
                let failure = Failure::from(error).about(&resource_type);
                // The last is the command's failure; those before it are said at once.
                if let Some(earlier) = failed.replace(failure) {
                    talk(&earlier.to_string());
                }
            }
        }
    }
    if json {
        print_json(&destroyed)?;
    } else {
        talk(&format!("{} destroyed", count(destroyed.len())));
        for session in &destroyed {
            print(&session.session_id)?;
        }
    }
    failed.map_or(Ok(()), Err)
}

fn count(sessions: usize) -> String {
    match sessions {
        1 => "1 session".to_owned(),
        many => format!("{many} sessions"),
    }
}

/// The word that stands for a value on the wire.
fn word(value: &impl Serialize) -> String {
    let word = serde_json::to_value(value).unwrap_or_default();
    word.as_str().unwrap_or("?").to_owned()
}

fn until(time: Option<Timestamp>) -> String {
    time.map_or_else(|| "never".to_owned(), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_setting_that_is_unknown_is_no_parameter_of_a_tool() {
        let refused = |code| Error::Server {
            code,
            message: "parameter /nope is not known".into(),
            data: serde_json::Value::Null,
        };
        let told = not_created(refused(Code::PARAMETER)).to_string();
        assert!(
            told.contains("config schema") && !told.contains("tools"),
            "{told}"
        );
        let told = not_created(refused(Code::TOO_MANY)).to_string();
        assert!(!told.contains("hint"), "{told}");
    }

    #[test]
    fn sessions_are_listed_in_columns() {
        let list = serde_json::from_value(json!({"worker_id": "w", "count": 2, "sessions": [
            {"resource_type": "bash", "session_id": "bash_w_001_0000000a", "session_name": "bash_w_001",
             "status": "active", "auto_created": false, "created_at": "2026-01-02T03:04:05Z",
             "last_activity": "2026-01-02T03:04:05Z", "expires_at": "2026-01-02T03:34:05Z"},
            {"resource_type": "vm", "session_id": "vm_w_001_0000000b", "session_name": "vm_w_001",
             "status": "hibernating", "auto_created": true, "created_at": "2026-01-02T03:04:05Z",
             "last_activity": "2026-01-02T03:04:05Z", "expires_at": null},
        ]}))
        .unwrap();
        insta::assert_snapshot!(as_table(&list), @r"
        TYPE  STATUS   EXPIRES                      SESSION
        bash  active   2026-01-02T03:34:05.000000Z  bash_w_001_0000000a
        vm    unknown  never                        vm_w_001_0000000b
        ");
    }
}
