//! `sandbox tools`: what there is to call, and how.

use super::{
    connect::ServerArgs,
    failure::Failure,
    output::{print, print_json, table, talk},
    prose::{first_sentence, wrapped},
    schema,
};
use clap::Args;
use sandbox_protocol::response::ToolDescription;
use serde_json::Value;

/// How wide the text of a parameter is: beside its name and type, it still fits on most terminals.
const TEXT: usize = 72;

/// List the tools that a running server has, or describe one
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  sandbox tools                 all tools, one a line
  sandbox tools vm              the tools of one backend
  sandbox tools vm:click        one tool with its parameters
  sandbox tools --json | jq '.tools[].full_name'")]
pub(crate) struct ToolsArgs {
    /// A tool, or a backend
    name: Option<String>,

    /// List hidden tools too
    #[arg(long)]
    hidden: bool,

    /// Print as JSON, with the whole schemas
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    server: ServerArgs,
}

/// Prints the tools, or one of them.
pub(super) async fn run(args: &ToolsArgs) -> Result<(), Failure> {
    let client = args.server.connect()?;
    let mut list = client.tools(args.hidden).await?;
    if let Some(name) = &args.name {
        let of_backend = |tool: &ToolDescription| tool.resource_type.as_ref() == Some(name);
        if !list.tools.iter().any(of_backend) {
            // The server knows all the ways to spell a tool's name.
            let tool = client.tool(name).await?;
            let printed = if args.json {
                print_json(&tool)
            } else {
                print(&describe(&tool))
            };
            return Ok(printed?);
        }
        list.tools.retain(of_backend);
        list.count = list.tools.len();
    }
    if args.json {
        return Ok(print_json(&list)?);
    }
    if list.tools.is_empty() {
        talk("the server has no tools");
    }
    let rows: Vec<_> = list.tools.iter().map(row).collect();
    Ok(print_rows(&rows)?)
}

fn print_rows(rows: &[[String; 2]]) -> std::io::Result<()> {
    if rows.is_empty() {
        Ok(())
    } else {
        print(&table(rows))
    }
}

fn row(tool: &ToolDescription) -> [String; 2] {
    [tool.full_name.clone(), first_sentence(&tool.description)]
}

/// A tool on a page: its name, what it does, its parameters.
fn describe(tool: &ToolDescription) -> String {
    let schema: Value = serde_json::from_str(tool.input_schema.get()).unwrap_or(Value::Null);
    let mut text = format!("{}\n", tool.full_name);
    for line in tool.description.lines() {
        text.push_str(format!("  {line}").trim_end());
        text.push('\n');
    }
    let parameters = parameters(&schema);
    if parameters.is_empty() {
        text.push_str("\nNo parameters.\n");
        return text;
    }
    text.push_str("\nParameters:\n");
    for line in table(&parameters).lines() {
        text.push_str("  ");
        text.push_str(line);
        text.push('\n');
    }
    text
}

/// The rows of a table; a text that does not fit on its line goes on in rows of its own.
fn parameters(root: &Value) -> Vec<[String; 4]> {
    let required = |name: &str| {
        let names = root["required"].as_array().into_iter().flatten();
        names.into_iter().any(|required| required == name)
    };
    let properties = root["properties"].as_object().into_iter().flatten();
    properties
        .flat_map(|(name, parameter)| {
            let need = if required(name) {
                "required".to_owned()
            } else {
                match parameter.get("default") {
                    None | Some(Value::Null) => "optional".to_owned(),
                    Some(default) => format!("= {default}"),
                }
            };
            let description = parameter["description"].as_str().unwrap_or_default();
            let mut lines = wrapped(description, TEXT).into_iter();
            let first = [
                name.clone(),
                schema::type_name(root, parameter),
                need,
                lines.next().unwrap_or_default(),
            ];
            let more = lines.map(|line| [String::new(), String::new(), String::new(), line]);
            std::iter::once(first).chain(more)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{json, value::to_raw_value};

    fn tool(schema: &Value) -> ToolDescription {
        ToolDescription {
            name: "click".into(),
            full_name: "vm:click".into(),
            resource_type: Some("vm".into()),
            stateless: false,
            description: "Click at a point of the screen.\n\nUse it on buttons.".into(),
            input_schema: to_raw_value(schema).unwrap(),
            annotations: to_raw_value(&json!({})).unwrap(),
        }
    }

    #[test]
    fn a_tool_is_described_on_a_page() {
        let text = describe(&tool(&json!({
            "properties": {
                "x": {"type": "integer", "description": "Pixels from the left.\nNot negative, and \
                    never more than the screen is wide, which `vm:info` tells."},
                "button": {"$ref": "#/$defs/Button", "default": "left"},
                "note": {"type": ["string", "null"], "default": null},
            },
            "required": ["x"],
            "$defs": {"Button": {"enum": ["left", "right"]}},
        })));
        insta::assert_snapshot!(text, @r#"
        vm:click
          Click at a point of the screen.

          Use it on buttons.

        Parameters:
          x       integer     required  Pixels from the left. Not negative, and never more than the screen is
                                        wide, which `vm:info` tells.
          button  left|right  = "left"
          note    string      optional
        "#);
    }

    #[test]
    fn a_tool_without_parameters_says_so() {
        assert!(describe(&tool(&json!({}))).ends_with("\nNo parameters.\n"));
    }
}
