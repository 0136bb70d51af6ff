//! Takes an impl block apart and writes the `Backend` impl beside it.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::{ImplItem, ImplItemFn, ItemImpl, LitStr, Result, Type, spanned::Spanned};

use crate::{
    arguments::BackendArguments,
    signature::{Parameter, Role, doc_text, parameters, result_type},
    tool,
};

/// The functions with a meaning of their own.
const LIFECYCLE: [&str; 5] = ["new", "warmup", "shutdown", "initialize", "cleanup"];

pub(crate) fn expand(arguments: TokenStream, mut block: ItemImpl) -> Result<TokenStream> {
    let arguments = BackendArguments::parse(arguments)?;
    if let Some((_, path, _)) = &block.trait_ {
        let message = "#[backend] belongs on the struct's own impl block, not on a trait's";
        return Err(syn::Error::new(path.span(), message));
    }
    if !block.generics.params.is_empty() {
        let message = "a backend has no type parameters: the host makes it from its class alone";
        return Err(syn::Error::new(block.generics.span(), message));
    }
    let names = Names::new(&arguments, &block)?;
    let session = session_type(&block)?;
    let mut lifecycle = Lifecycle::default();
    let mut tools = Vec::new();
    let mut errors: Option<syn::Error> = None;
    for item in &mut block.items {
        let ImplItem::Fn(function) = item else { continue };
        let expanded = function_of_block(function, &names, session.as_ref(), &mut lifecycle);
        match expanded {
            Ok(Some(tool)) => tools.push(tool),
            Ok(None) => {}
            Err(error) => match &mut errors {
                Some(all) => all.combine(error),
                none => *none = Some(error),
            },
        }
    }
    if let Some(errors) = errors {
        // The author's block stays, so that the compiler says nothing about missing functions.
        let errors = errors.into_compile_error();
        return Ok(quote!(#errors #block));
    }
    let implementation = implementation(&names, &block, session.as_ref(), &lifecycle, &tools);
    Ok(quote!(#block #implementation))
}

/// Sorts a function: lifecycle, tool, or the author's own.
fn function_of_block(
    function: &mut ImplItemFn,
    names: &Names,
    session: Option<&Type>,
    lifecycle: &mut Lifecycle,
) -> Result<Option<TokenStream>> {
    let name = function.sig.ident.to_string();
    let position = function
        .attrs
        .iter()
        .position(|attribute| attribute.path().segments.last().is_some_and(|last| last.ident == "tool"));
    if let Some(position) = position {
        let attribute = function.attrs.remove(position);
        if LIFECYCLE.contains(&name.as_str()) {
            let message = format!("`{name}` is a lifecycle function and cannot be a tool");
            return Err(syn::Error::new(function.sig.ident.span(), message));
        }
        return tool::expand(&attribute, function, names, session).map(Some);
    }
    if LIFECYCLE.contains(&name.as_str()) {
        if name != "new" && function.sig.asyncness.is_none() {
            let message = format!("`{name}` is an async fn");
            return Err(syn::Error::new(function.sig.ident.span(), message));
        }
        let result = result_type(function)?;
        let parameters = parameters(function, session)?;
        lifecycle.add(&name, Function { parameters, result });
    }
    Ok(None)
}

/// What the backend is called.
pub(crate) struct Names {
    pub(crate) name: LitStr,
    class: LitStr,
    description: String,
    version: TokenStream,
}

impl Names {
    fn new(arguments: &BackendArguments, block: &ItemImpl) -> Result<Self> {
        let Type::Path(path) = &*block.self_ty else {
            let message = "#[backend] belongs on the impl block of a struct";
            return Err(syn::Error::new(block.self_ty.span(), message));
        };
        let name = arguments.name.clone().ok_or_else(|| {
            let message = "a backend needs a name: #[backend(name = \"…\")]";
            syn::Error::new(block.self_ty.span(), message)
        })?;
        check_name(&name)?;
        let ident = path.path.get_ident().ok_or_else(|| {
            syn::Error::new(path.span(), "name the struct here as it is declared")
        })?;
        let class = arguments
            .class
            .clone()
            .unwrap_or_else(|| LitStr::new(&ident.to_string(), ident.span()));
        let description = arguments
            .description
            .as_ref()
            .map_or_else(|| doc_text(&block.attrs), LitStr::value);
        let version = arguments
            .version
            .as_ref()
            .map_or_else(|| quote!(env!("CARGO_PKG_VERSION")), |version| quote!(#version));
        Ok(Self {
            name,
            class,
            description,
            version,
        })
    }
}

/// Names are parts of tool names, keys and file names, so they keep to what is safe in all three.
fn check_name(name: &LitStr) -> Result<()> {
    let text = name.value();
    let good = !text.is_empty()
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-');
    if good {
        return Ok(());
    }
    let message = "a name begins with a lower-case letter and has lower-case letters, digits, _ and - only";
    Err(syn::Error::new(name.span(), message))
}

/// The type that `initialize` returns: by it the tools' session parameter is known.
fn session_type(block: &ItemImpl) -> Result<Option<Type>> {
    for item in &block.items {
        if let ImplItem::Fn(function) = item
            && function.sig.ident == "initialize"
        {
            return result_type(function).map(Some);
        }
    }
    Ok(None)
}

#[derive(Default)]
struct Lifecycle {
    new: Option<Function>,
    warmup: Option<Function>,
    shutdown: Option<Function>,
    initialize: Option<Function>,
    cleanup: Option<Function>,
}

struct Function {
    parameters: Vec<Parameter>,
    result: Type,
}

impl Lifecycle {
    fn add(&mut self, name: &str, function: Function) {
        let place = match name {
            "new" => &mut self.new,
            "warmup" => &mut self.warmup,
            "shutdown" => &mut self.shutdown,
            "initialize" => &mut self.initialize,
            _ => &mut self.cleanup,
        };
        *place = Some(function);
    }

    fn kind(&self) -> &'static str {
        match (&self.initialize, &self.warmup, &self.shutdown) {
            (None, _, _) => "Shared",
            (Some(_), None, None) => "Session",
            (Some(_), _, _) => "Hybrid",
        }
    }
}

impl Function {
    /// The type of its one by-value parameter: a configuration.
    fn value_type(&self) -> Option<&Type> {
        self.parameters
            .iter()
            .find(|parameter| matches!(parameter.role, Role::Value))
            .map(|parameter| &parameter.ty)
    }

    /// Its arguments, given what is in scope under which name.
    fn arguments(&self) -> Vec<TokenStream> {
        let argument = |parameter: &Parameter| match parameter.role {
            Role::Context => quote!(context),
            Role::Info => quote!(info),
            Role::OptionalInfo => quote!(Some(info)),
            Role::Session => quote!(session),
            Role::OptionalSession => quote!(Some(session)),
            Role::Env => quote!(env),
            Role::Value => quote!(config),
        };
        self.parameters.iter().map(argument).collect()
    }
}

fn implementation(
    names: &Names,
    block: &ItemImpl,
    session: Option<&Type>,
    lifecycle: &Lifecycle,
    tools: &[TokenStream],
) -> TokenStream {
    let backend = &block.self_ty;
    let meta = meta(names, lifecycle.kind());
    let none: Type = syn::parse_quote!(::sandbox_plugin_api::backend::NoConfig);
    let config = value_type(lifecycle.new.as_ref()).unwrap_or(&none);
    let session_config = value_type(lifecycle.initialize.as_ref()).unwrap_or(&none);
    let unit: Type = syn::parse_quote!(());
    let session = session.unwrap_or(&unit);
    let create = match &lifecycle.new {
        Some(new) => {
            let arguments = new.arguments();
            let span = new.result.span();
            quote_spanned!(span=> Self::new(#(#arguments),*).map_err(::core::convert::From::from))
        }
        None => quote!(Ok(<Self as ::core::default::Default>::default())),
    };
    let warmup = lifecycle_call("warmup", lifecycle.warmup.as_ref());
    let shutdown = lifecycle_call("shutdown", lifecycle.shutdown.as_ref());
    let cleanup = lifecycle_call("cleanup", lifecycle.cleanup.as_ref());
    let initialize = match &lifecycle.initialize {
        Some(_) => lifecycle_call("initialize", lifecycle.initialize.as_ref()),
        None => quote!(Ok(())),
    };
    quote! {
        #[automatically_derived]
        #[allow(unused_variables, clippy::unused_async, clippy::needless_question_mark)]
        impl ::sandbox_plugin_api::backend::Backend for #backend {
            type Config = #config;
            type SessionConfig = #session_config;
            type Session = #session;

            const META: ::sandbox_plugin_api::backend::Meta = #meta;

            fn create(
                config: Self::Config,
                env: &::sandbox_plugin_api::BackendEnv,
            ) -> ::sandbox_plugin_api::Result<Self> {
                #create
            }

            async fn warmup(
                &self,
                context: &::sandbox_plugin_api::CallContext,
            ) -> ::sandbox_plugin_api::Result<()> {
                #warmup
            }

            async fn shutdown(
                &self,
                context: &::sandbox_plugin_api::CallContext,
            ) -> ::sandbox_plugin_api::Result<()> {
                #shutdown
            }

            async fn initialize(
                &self,
                info: &::sandbox_plugin_api::SessionInfo,
                context: &::sandbox_plugin_api::CallContext,
                config: Self::SessionConfig,
            ) -> ::sandbox_plugin_api::Result<Self::Session> {
                #initialize
            }

            async fn cleanup(
                &self,
                session: &Self::Session,
                info: &::sandbox_plugin_api::SessionInfo,
                context: &::sandbox_plugin_api::CallContext,
            ) -> ::sandbox_plugin_api::Result<()> {
                #cleanup
            }

            fn tools() -> ::std::vec::Vec<::sandbox_plugin_api::backend::Tool<Self>> {
                ::std::vec![#(#tools),*]
            }
        }
    }
}

fn value_type(function: Option<&Function>) -> Option<&Type> {
    function.and_then(Function::value_type)
}

fn lifecycle_call(name: &str, function: Option<&Function>) -> TokenStream {
    let Some(function) = function else {
        return quote!(Ok(()));
    };
    let name = format_ident!("{name}");
    let arguments = function.arguments();
    let span = function.result.span();
    quote_spanned!(span=> Self::#name(self, #(#arguments),*).await.map_err(::core::convert::From::from))
}

/// The `Meta` constant, and the same as JSON for the manifest.
fn meta(names: &Names, kind: &str) -> TokenStream {
    let Names {
        name,
        class,
        description,
        version,
    } = names;
    let kind_ident = format_ident!("{kind}");
    let head = format!(
        "{{\"name\":{},\"class\":{},\"kind\":{},\"description\":{},\"version\":\"",
        json(&name.value()),
        json(&class.value()),
        json(&kind.to_lowercase()),
        json(description),
    );
    quote! {
        ::sandbox_plugin_api::backend::Meta {
            class: #class,
            name: #name,
            description: #description,
            version: #version,
            kind: ::sandbox_plugin_api::backend::Kind::#kind_ident,
            manifest: ::core::concat!(#head, #version, "\"}"),
        }
    }
}

/// A JSON string. Written here because a macro crate that pulls in a JSON crate slows every build.
fn json(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if (c as u32) < 0x20 => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
