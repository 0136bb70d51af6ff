//! Turns one function with `#[tool]` into one entry of the tool table.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{Attribute, ImplItemFn, LitStr, Result, Type, ext::IdentExt, spanned::Spanned};

use crate::{
    arguments::{Mode, ToolArguments},
    names::{Prefix, check_name},
    params::Params,
    signature::{Parameter, Role, SessionType, allow_our_shape, doc_text, parameters, result_type},
};

/// A tool of a block.
pub(crate) struct Tool {
    /// Its name and its aliases.
    pub(crate) names: Vec<ToolName>,
    /// The expression that makes its entry.
    pub(crate) entry: TokenStream,
    /// Its `#[cfg(…)]`: where it holds not, there is no function to call.
    pub(crate) cfgs: Vec<Attribute>,
}

pub(crate) fn expand(
    attribute: &Attribute,
    function: &mut ImplItemFn,
    prefix: Prefix<'_>,
    session: SessionType<'_>,
) -> Result<Tool> {
    let arguments = ToolArguments::parse(attribute)?;
    check(function, &arguments)?;
    let result = result_type(function)?;
    let parameters = parameters(function, session)?;
    check_parameters(&parameters)?;
    allow_our_shape(function);
    let called = Called::of(&arguments, function, prefix)?;
    let spec = spec(&arguments, function, &called, prefix, &parameters);
    let params = Params::of(&parameters)?;
    let begin = begin(&arguments, function, &parameters, &params, &result);
    let (declaration, ty) = (&params.declaration, &params.ty);
    let output = quote_spanned! {result.span()=>
        || ::sandbox_plugin_api::output_schema!(#result)
    };
    let entry = quote! {{
        #declaration
        ::sandbox_plugin_api::backend::Tool {
            spec: #spec,
            input: ::sandbox_plugin_api::schema::closed_schema_of::<#ty>,
            output: #output,
            begin: #begin,
        }
    }};
    Ok(Tool {
        names: called.names,
        entry,
        cfgs: cfgs(function),
    })
}

/// The conditions under which a function exists.
fn cfgs(function: &ImplItemFn) -> Vec<Attribute> {
    let all = function.attrs.iter();
    all.filter(|attribute| attribute.path().is_ident("cfg"))
        .cloned()
        .collect()
}

fn check(function: &ImplItemFn, arguments: &ToolArguments) -> Result<()> {
    let signature = &function.sig;
    let wrong = |message| Err(syn::Error::new(signature.ident.span(), message));
    let receiver = signature.receiver();
    if receiver.is_none_or(|it| it.mutability.is_some() || it.reference.is_none()) {
        return wrong(
            "a tool takes &self: calls run at the same time, so what changes needs a lock of its own",
        );
    }
    if !signature.generics.params.is_empty() {
        return wrong("a tool has no type parameters: its parameters come from JSON");
    }
    match (arguments.mode, signature.asyncness) {
        (Mode::Blocking, Some(_)) => {
            wrong("a blocking tool is a plain fn: it runs on a thread of its own")
        }
        (Mode::Task, None) => wrong(
            "a tool is an async fn; a plain fn is #[tool(blocking)], or #[tool(inline)] when it never waits",
        ),
        _ => Ok(()),
    }
}

fn check_parameters(parameters: &[Parameter]) -> Result<()> {
    for parameter in parameters {
        match parameter.role {
            Role::Env => {
                let message = "&BackendEnv is for `new`: keep there what the tools need of it";
                return Err(syn::Error::new_spanned(&parameter.ty, message));
            }
            Role::Value if parameter.name == "_" => {
                let message = "give this parameter a plain name: it becomes the name in the JSON";
                return Err(syn::Error::new(parameter.name.span(), message));
            }
            Role::Value => {}
            _ => {
                if let Some(attribute) = parameter.attributes.first() {
                    let message = "attributes are for what comes from the JSON";
                    return Err(syn::Error::new_spanned(attribute, message));
                }
            }
        }
    }
    Ok(())
}

/// What a tool is called.
struct Called {
    names: Vec<ToolName>,
    /// The resource type, unless it is the backend's name.
    resource_type: Option<String>,
}

/// One name of a tool, and where the author wrote it.
pub(crate) struct ToolName {
    resource: Option<String>,
    action: String,
    pub(crate) span: Span,
}

impl Called {
    fn of(arguments: &ToolArguments, function: &ImplItemFn, prefix: Prefix<'_>) -> Result<Self> {
        let ident = &function.sig.ident;
        let name = arguments
            .name
            .clone()
            .unwrap_or_else(|| LitStr::new(&ident.unraw().to_string(), ident.span()));
        let written = name.value();
        let resource_type = match (&arguments.resource_type, written.split_once(':')) {
            (Some(given), _) => {
                check_name(given, &given.value())?;
                Some(given.value())
            }
            (None, Some((resource, _))) => Some(resource.to_owned()),
            (None, None) => None,
        };
        let all = std::iter::once(&name).chain(&arguments.aliases);
        let names = all.map(|name| ToolName::of(name, resource_type.as_deref(), prefix));
        Ok(Self {
            names: names.collect::<Result<_>>()?,
            resource_type,
        })
    }
}

impl ToolName {
    fn of(name: &LitStr, resource_type: Option<&str>, prefix: Prefix<'_>) -> Result<Self> {
        let written = name.value();
        let (resource, action) = match written.split_once(':') {
            Some((resource, action)) => (Some(resource), action),
            None => (resource_type, written.as_str()),
        };
        if let (Some(found), expected) = (resource, resource_type)
            && let Some(message) = wrong_resource(found, expected, prefix)
        {
            return Err(syn::Error::new(name.span(), message));
        }
        if let Some(resource) = resource {
            check_name(name, resource)?;
        }
        check_name(name, action)?;
        Ok(Self {
            resource: resource.map(str::to_owned),
            action: action.to_owned(),
            span: name.span(),
        })
    }

    /// The name as far as it is known before the compiler runs.
    pub(crate) fn text(&self, prefix: Prefix<'_>) -> String {
        match (&self.resource, prefix) {
            (Some(resource), _) => format!("{resource}:{}", self.action),
            (None, Prefix::Known(name)) => format!("{}:{}", name.value(), self.action),
            (None, Prefix::NameOf(_)) => self.action.clone(),
        }
    }

    /// The full name, `resource:action`, as a constant expression.
    pub(crate) fn tokens(&self, prefix: Prefix<'_>) -> TokenStream {
        let Some(resource) = &self.resource else {
            return prefix.join(&self.action);
        };
        let full = format!("{resource}:{}", self.action);
        quote!(#full)
    }
}

/// What is wrong with the resource type of an alias, if it is not the tool's.
fn wrong_resource(found: &str, expected: Option<&str>, prefix: Prefix<'_>) -> Option<String> {
    let expected = match (expected, prefix) {
        (Some(given), _) => given.to_owned(),
        (None, Prefix::Known(backend)) => backend.value(),
        (None, Prefix::NameOf(_)) => {
            return Some("an alias has the resource type of its tool: leave it out here".into());
        }
    };
    (expected != found)
        .then(|| format!("the part before the colon is the resource type, `{expected}`"))
}

fn spec(
    arguments: &ToolArguments,
    function: &ImplItemFn,
    called: &Called,
    prefix: Prefix<'_>,
    parameters: &[Parameter],
) -> TokenStream {
    let mut names = called.names.iter().map(|name| name.tokens(prefix));
    let (name, aliases) = (names.next(), names);
    let resource_type = called
        .resource_type
        .as_ref()
        .map_or_else(|| prefix.tokens(), |given| quote!(#given));
    let title = arguments
        .title
        .as_ref()
        .map_or_else(String::new, LitStr::value);
    let description = arguments
        .description
        .as_ref()
        .map_or_else(|| doc_text(&function.attrs), LitStr::value);
    let timeout = arguments
        .timeout
        .map_or_else(|| quote!(None), |seconds| quote!(Some(#seconds)));
    let needs_session = parameters
        .iter()
        .any(|parameter| matches!(parameter.role, Role::Session));
    let ToolArguments {
        hidden,
        read_only,
        destructive,
        idempotent,
        examples,
        ..
    } = arguments;
    quote! {
        ::sandbox_plugin_api::backend::ToolSpec {
            name: #name,
            aliases: const { &[#(#aliases),*] },
            resource_type: #resource_type,
            title: #title,
            description: #description,
            hidden: #hidden,
            timeout: #timeout,
            read_only: #read_only,
            destructive: #destructive,
            idempotent: #idempotent,
            needs_session: #needs_session,
            examples: &[#(#examples),*],
        }
    }
}

fn begin(
    arguments: &ToolArguments,
    function: &ImplItemFn,
    parameters: &[Parameter],
    params: &Params,
    result: &Type,
) -> TokenStream {
    let name = &function.sig.ident;
    let (ty, pattern) = (&params.ty, &params.pattern);
    let values = parameters.iter().filter_map(argument);
    let wait = function.sig.asyncness.map(|_| quote!(.await));
    // What the compiler finds wrong with the future or the result it shows where the author wrote it.
    let reply = quote_spanned! {at(result.span())=>
        ::sandbox_plugin_api::IntoReply::into_reply(value)
    };
    let body = quote_spanned! {Span::mixed_site()=>
        let #pattern = reading.end()?;
        match Self::#name(&call.backend, #(#values),*) #wait {
            Ok(value) => #reply,
            Err(error) => Err(::core::convert::From::from(error)),
        }
    };
    let span = at(name.span());
    let begun = match (arguments.mode, wait) {
        (Mode::Task, _) => quote_spanned!(span=> task(async move { #body })),
        (Mode::Inline, Some(_)) => quote_spanned!(span=> inline(async move { #body })),
        (Mode::Inline, None) => quote_spanned!(span=> ready(move || { #body })),
        (Mode::Blocking, _) => quote_spanned!(span=> blocking(move || { #body })),
    };
    quote_spanned! {Span::mixed_site()=>
        |call, params| {
            let reading = ::sandbox_plugin_api::backend::Reading::<#ty>::begin(params);
            ::sandbox_plugin_api::backend::Begun::#begun
        }
    }
}

/// This place, with the names that the macro's own code sees: its variables are not the author's, whatever an author
/// calls a parameter.
fn at(span: Span) -> Span {
    span.resolved_at(Span::mixed_site())
}

/// The place of the type behind a reference: that of the whole would be the `&` alone.
fn referred(ty: &Type) -> Span {
    match ty {
        Type::Reference(reference) => reference.elem.span(),
        _ => ty.span(),
    }
}

/// What the call of the author's function passes for a parameter.
fn argument(parameter: &Parameter) -> Option<TokenStream> {
    Some(match parameter.role {
        Role::Context => quote_spanned!(Span::mixed_site()=> &call.context),
        Role::Info => quote_spanned!(Span::mixed_site()=> call.info()?),
        Role::OptionalInfo => quote_spanned!(Span::mixed_site()=> call.info_or_none()),
        // Where `initialize` stands in another block, the compiler finds a wrong type, and shows it there.
        Role::Session => quote_spanned!(at(referred(&parameter.ty))=> call.session()?),
        Role::OptionalSession => {
            quote_spanned!(at(parameter.ty.span())=> call.session_or_none())
        }
        Role::Value => {
            let name = &parameter.name;
            quote!(#name)
        }
        // `check_parameters` has refused it.
        Role::Env => return None,
    })
}
