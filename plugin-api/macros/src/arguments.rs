//! What stands between the parentheses of `#[backend(…)]`, `#[tools(…)]` and `#[tool(…)]`.

use proc_macro2::{Span, TokenStream};
use syn::{
    Ident, LitFloat, LitInt, LitStr, Result, Token, Type, bracketed,
    meta::ParseNestedMeta,
    parse::{Parse, ParseStream, Parser},
    punctuated::Punctuated,
    token,
};

/// `#[backend(name = "…", class = "…", description = "…", version = "…", session_config = …, tools = […])]`.
#[derive(Default)]
pub(crate) struct BackendArguments {
    pub(crate) name: Option<LitStr>,
    pub(crate) class: Option<LitStr>,
    pub(crate) description: Option<LitStr>,
    pub(crate) version: Option<LitStr>,
    /// What the sessions of a shared backend may set.
    pub(crate) session_config: Option<Type>,
    /// The names of the `#[tools]` blocks, in the order in which their tools are listed.
    pub(crate) tools: Vec<Ident>,
}

impl BackendArguments {
    pub(crate) fn parse(tokens: TokenStream) -> Result<Self> {
        let mut arguments = Self::default();
        let parser = syn::meta::parser(|meta| arguments.set(&meta));
        parser.parse2(tokens)?;
        Ok(arguments)
    }

    fn set(&mut self, meta: &ParseNestedMeta<'_>) -> Result<()> {
        let field = match name_of(meta).as_str() {
            "name" => &mut self.name,
            "class" => &mut self.class,
            "description" => &mut self.description,
            "version" => &mut self.version,
            "session_config" => return once(&mut self.session_config, meta),
            "tools" => {
                self.tools.extend(blocks(meta.value()?)?);
                return Ok(());
            }
            _ => {
                return Err(meta.error(
                    "unknown argument; #[backend] takes name, class, description, version, session_config and tools",
                ));
            }
        };
        once(field, meta)
    }
}

/// Takes the value of an argument that has one meaning only: of two, one would be lost.
fn once<T: Parse>(field: &mut Option<T>, meta: &ParseNestedMeta<'_>) -> Result<()> {
    if field.is_some() {
        return Err(meta.error("this is said twice"));
    }
    *field = Some(meta.value()?.parse()?);
    Ok(())
}

/// `[navigation, input]`.
fn blocks(value: ParseStream<'_>) -> Result<Vec<Ident>> {
    if !value.peek(token::Bracket) {
        return Err(
            value.error("expected the names of #[tools] blocks: tools = [reading, writing]")
        );
    }
    let list;
    bracketed!(list in value);
    let names = Punctuated::<Ident, Token![,]>::parse_terminated(&list)?;
    Ok(names.into_iter().collect())
}

/// Reads `#[tools(name)]`.
pub(crate) fn block_name(tokens: TokenStream) -> Result<Ident> {
    syn::parse2(tokens).map_err(|error| {
        let message = "a block of tools has one name, by which the #[backend] block lists it: \
                       #[tools(reading)] here, tools = [reading] there";
        syn::Error::new(error.span(), message)
    })
}

/// Where a tool runs.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Mode {
    #[default]
    Task,
    Inline,
    Blocking,
}

/// `#[tool("name", …)]`.
#[derive(Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag that the author writes or leaves out, independent of the others"
)]
pub(crate) struct ToolArguments {
    pub(crate) name: Option<LitStr>,
    pub(crate) aliases: Vec<LitStr>,
    pub(crate) resource_type: Option<LitStr>,
    pub(crate) title: Option<LitStr>,
    pub(crate) description: Option<LitStr>,
    pub(crate) examples: Vec<LitStr>,
    pub(crate) timeout: Option<f64>,
    pub(crate) mode: Mode,
    pub(crate) hidden: bool,
    pub(crate) read_only: bool,
    pub(crate) destructive: bool,
    pub(crate) idempotent: bool,
}

impl ToolArguments {
    /// Reads `#[tool]`, `#[tool("name")]` or `#[tool(key = value, flag)]`.
    pub(crate) fn parse(attribute: &syn::Attribute) -> Result<Self> {
        let mut arguments = Self::default();
        if matches!(attribute.meta, syn::Meta::Path(_)) {
            return Ok(arguments);
        }
        attribute.parse_args_with(|input: ParseStream<'_>| {
            if input.peek(LitStr) {
                arguments.name = Some(input.parse()?);
                if !input.is_empty() {
                    input.parse::<Token![,]>()?;
                }
            }
            let rest: TokenStream = input.parse()?;
            syn::meta::parser(|meta| arguments.set(&meta)).parse2(rest)
        })?;
        Ok(arguments)
    }

    fn set(&mut self, meta: &ParseNestedMeta<'_>) -> Result<()> {
        match name_of(meta).as_str() {
            "name" => once(&mut self.name, meta)?,
            "alias" => self.aliases.push(meta.value()?.parse()?),
            "resource_type" => once(&mut self.resource_type, meta)?,
            "title" => once(&mut self.title, meta)?,
            "description" => once(&mut self.description, meta)?,
            "example" => self.examples.push(example(meta.value()?.parse()?)?),
            "timeout" if self.timeout.is_some() => return Err(meta.error("this is said twice")),
            "timeout" => self.timeout = Some(seconds(meta.value()?)?),
            "inline" => self.set_mode(Mode::Inline, meta)?,
            "blocking" => self.set_mode(Mode::Blocking, meta)?,
            "hidden" => self.hidden = true,
            "read_only" => self.read_only = true,
            "destructive" => self.destructive = true,
            "idempotent" => self.idempotent = true,
            _ => {
                return Err(meta.error(
                    "unknown argument; #[tool] takes a name, alias, resource_type, title, \
                     description, example, timeout, inline, blocking, hidden, read_only, \
                     destructive and idempotent",
                ));
            }
        }
        if self.read_only && self.destructive {
            return Err(meta.error("a tool that is read_only cannot be destructive"));
        }
        Ok(())
    }

    fn set_mode(&mut self, mode: Mode, meta: &ParseNestedMeta<'_>) -> Result<()> {
        if self.mode != Mode::Task {
            return Err(meta.error("a tool is inline or blocking, not both"));
        }
        self.mode = mode;
        Ok(())
    }
}

fn name_of(meta: &ParseNestedMeta<'_>) -> String {
    meta.path
        .get_ident()
        .map(ToString::to_string)
        .unwrap_or_default()
}

/// An example's parameters must at least look like a JSON object; the test kit runs them.
fn example(text: LitStr) -> Result<LitStr> {
    let value = text.value();
    let trimmed = value.trim();
    if trimmed.starts_with('{') && trimmed.ends_with('}') {
        Ok(text)
    } else {
        let message = "an example is a JSON object with the tool's parameters";
        Err(syn::Error::new(text.span(), message))
    }
}

fn seconds(value: ParseStream<'_>) -> Result<f64> {
    let (seconds, span): (f64, Span) = if value.peek(LitInt) {
        let literal: LitInt = value.parse()?;
        (literal.base10_parse()?, literal.span())
    } else {
        let literal: LitFloat = value.parse()?;
        (literal.base10_parse()?, literal.span())
    };
    if seconds > 0.0 {
        Ok(seconds)
    } else {
        Err(syn::Error::new(
            span,
            "a timeout is a number of seconds above 0",
        ))
    }
}
