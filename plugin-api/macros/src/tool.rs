//! Turns one function with `#[tool]` into one entry of the tool table.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::{Attribute, Expr, ImplItemFn, LitStr, Result, Type, spanned::Spanned};

use crate::{
    arguments::{Mode, ToolArguments},
    backend::Names,
    signature::{Parameter, Role, doc_text, parameters, result_type},
};

pub(crate) fn expand(
    attribute: &Attribute,
    function: &mut ImplItemFn,
    names: &Names,
    session: Option<&Type>,
) -> Result<TokenStream> {
    let arguments = ToolArguments::parse(attribute)?;
    check(function, &arguments)?;
    let result = result_type(function)?;
    let parameters = parameters(function, session)?;
    let spec = spec(&arguments, function, names, &parameters);
    let params = Params::of(&parameters)?;
    let begin = begin(&arguments, function, &parameters, &params);
    let (declaration, ty) = (&params.declaration, &params.ty);
    let output = quote_spanned! {result.span()=>
        || ::sandbox_plugin_api::output_schema!(#result)
    };
    Ok(quote! {{
        #declaration
        ::sandbox_plugin_api::backend::Tool {
            spec: #spec,
            input: ::sandbox_plugin_api::schema::closed_schema_of::<#ty>,
            output: #output,
            begin: #begin,
        }
    }})
}

fn check(function: &ImplItemFn, arguments: &ToolArguments) -> Result<()> {
    let signature = &function.sig;
    if signature.receiver().is_none_or(|receiver| receiver.mutability.is_some() || receiver.reference.is_none()) {
        let message = "a tool takes &self: calls run at the same time, so shared state needs a lock of its own";
        return Err(syn::Error::new(signature.span(), message));
    }
    let is_async = signature.asyncness.is_some();
    match arguments.mode {
        Mode::Blocking if is_async => Err(syn::Error::new(
            signature.span(),
            "a blocking tool is a plain fn: it runs on a thread of its own",
        )),
        Mode::Task | Mode::Inline if !is_async => Err(syn::Error::new(
            signature.span(),
            "a tool is an async fn, or a plain fn with #[tool(blocking)]",
        )),
        _ => Ok(()),
    }
}

fn spec(
    arguments: &ToolArguments,
    function: &ImplItemFn,
    names: &Names,
    parameters: &[Parameter],
) -> TokenStream {
    let prefix = arguments.resource_type.as_ref().unwrap_or(&names.name);
    let full = |action: &str| {
        if action.contains(':') {
            action.to_owned()
        } else {
            format!("{}:{action}", prefix.value())
        }
    };
    let action = arguments
        .name
        .as_ref()
        .map_or_else(|| function.sig.ident.to_string(), LitStr::value);
    let name = full(&action);
    let aliases = arguments.aliases.iter().map(|alias| full(&alias.value()));
    let title = arguments.title.as_ref().map_or_else(String::new, LitStr::value);
    let description = arguments
        .description
        .as_ref()
        .map_or_else(|| doc_text(&function.attrs), LitStr::value);
    let timeout = match arguments.timeout {
        Some(seconds) => quote!(Some(#seconds)),
        None => quote!(None),
    };
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
            aliases: &[#(#aliases),*],
            resource_type: #prefix,
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

/// The type that the parameters are read into.
struct Params {
    /// The declaration of the hidden struct, or nothing when the author has one.
    declaration: TokenStream,
    /// The type's name.
    ty: TokenStream,
    /// A pattern that takes it apart into the author's names.
    pattern: TokenStream,
}

impl Params {
    fn of(parameters: &[Parameter]) -> Result<Self> {
        let values: Vec<&Parameter> = parameters
            .iter()
            .filter(|parameter| matches!(parameter.role, Role::Value))
            .collect();
        if let [only] = values.as_slice()
            && only.attributes.iter().any(|attribute| attribute.path().is_ident("params"))
        {
            let (ty, name) = (&only.ty, &only.name);
            return Ok(Self {
                declaration: TokenStream::new(),
                ty: quote!(#ty),
                pattern: quote!(#name),
            });
        }
        let fields = values.iter().map(|value| field(value)).collect::<Result<Vec<_>>>()?;
        let names = values.iter().map(|value| &value.name);
        let (fields, defaults): (Vec<_>, Vec<_>) = fields.into_iter().unzip();
        Ok(Self {
            declaration: quote! {
                #(#defaults)*
                #[derive(::sandbox_plugin_api::private::serde::Deserialize, ::sandbox_plugin_api::private::schemars::JsonSchema)]
                #[serde(crate = "::sandbox_plugin_api::private::serde")]
                #[schemars(crate = "::sandbox_plugin_api::private::schemars")]
                struct Params { #(#fields),* }
            },
            ty: quote!(Params),
            pattern: quote!(Params { #(#names),* }),
        })
    }
}

/// A field of the hidden struct, and the function that gives its default.
fn field(parameter: &Parameter) -> Result<(TokenStream, TokenStream)> {
    let (name, ty) = (&parameter.name, &parameter.ty);
    let (mut kept, mut default) = (Vec::new(), TokenStream::new());
    for attribute in &parameter.attributes {
        let path = attribute.path();
        if path.is_ident("default") {
            let value: Expr = attribute.parse_args()?;
            let function = quote::format_ident!("default_{name}");
            let literal = LitStr::new(&function.to_string(), attribute.span());
            default = quote_spanned! {attribute.span()=>
                fn #function() -> #ty { #value }
            };
            kept.push(quote!(#[serde(default = #literal)]));
        } else if path.is_ident("doc") || path.is_ident("serde") || path.is_ident("schemars") {
            kept.push(quote!(#attribute));
        } else {
            let message = "a tool's parameter takes doc comments, #[default(…)], #[serde(…)], \
                           #[schemars(…)], or #[params] when it is the only one";
            return Err(syn::Error::new(attribute.span(), message));
        }
    }
    Ok((quote_spanned!(name.span()=> #(#kept)* #name: #ty), default))
}

fn begin(
    arguments: &ToolArguments,
    function: &ImplItemFn,
    parameters: &[Parameter],
    params: &Params,
) -> TokenStream {
    let name = &function.sig.ident;
    let (ty, pattern) = (&params.ty, &params.pattern);
    let values = parameters.iter().map(|parameter| match parameter.role {
        Role::Context => quote!(&call.context),
        Role::Info => quote!(call.info()?),
        Role::OptionalInfo => quote!(call.info_or_none()),
        Role::Session => quote!(call.session()?),
        Role::OptionalSession => quote!(call.session_or_none()),
        Role::Env => quote!(compile_error!("&BackendEnv is for `new`")),
        Role::Value => {
            let name = &parameter.name;
            quote!(#name)
        }
    });
    let wait = (arguments.mode != Mode::Blocking).then(|| quote!(.await));
    let body = quote! {
        let #pattern = reading.end()?;
        match Self::#name(&call.backend, #(#values),*) #wait {
            Ok(value) => ::sandbox_plugin_api::IntoReply::into_reply(value),
            Err(error) => Err(::core::convert::From::from(error)),
        }
    };
    let begun = match arguments.mode {
        Mode::Task => quote!(Task(::std::boxed::Box::pin(async move { #body }))),
        Mode::Inline => quote!(Inline(::std::boxed::Box::pin(async move { #body }))),
        Mode::Blocking => quote!(Blocking(::std::boxed::Box::new(move || { #body }))),
    };
    quote! {
        |call, params| {
            let reading = ::sandbox_plugin_api::backend::Reading::<#ty>::begin(params);
            ::sandbox_plugin_api::backend::Begun::#begun
        }
    }
}
