//! Takes an impl block apart and writes the `Backend` impl beside it.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::{Ident, ImplItem, ImplItemFn, ItemImpl, Result, Type, spanned::Spanned};

use crate::{
    arguments::BackendArguments,
    lifecycle::{Function, LIFECYCLE, Lifecycle},
    names::{Names, Prefix},
    signature::{SessionType, result_type},
    tools::{Tools, constant_of, take_attribute},
};

pub(crate) fn expand(arguments: TokenStream, mut block: ItemImpl) -> Result<TokenStream> {
    let arguments = BackendArguments::parse(arguments)?;
    check_block(&block)?;
    let names = Names::new(&arguments, &block)?;
    let session = session_type(&block)?;
    let declared = arguments.session_config.as_ref();
    if let (Some(declared), Some(_)) = (declared, &session) {
        let message = "what a session may set is the type of `initialize`'s parameter: session_config is for \
                       shared backends, which have no `initialize`";
        return Err(syn::Error::new_spanned(declared, message));
    }
    let mut lifecycle = Lifecycle::default();
    let mut tools = Tools::new(Prefix::Known(&names.name));
    let mut errors: Option<syn::Error> = None;
    for item in &mut block.items {
        let ImplItem::Fn(function) = item else {
            continue;
        };
        let sorted = sort(function, session.as_ref(), &mut lifecycle, &mut tools);
        if let Err(error) = sorted {
            match &mut errors {
                Some(all) => all.combine(error),
                none => *none = Some(error),
            }
        }
    }
    if let Some(errors) = errors {
        // The block stays, and is a backend all the same, so that the compiler does not complain
        // about what would be there but for the mistakes.
        let errors = errors.into_compile_error();
        let lifecycle = Lifecycle::default();
        let create = quote!(::core::unimplemented!());
        let stub = implementation(
            &names,
            &block,
            None,
            None,
            &lifecycle,
            &create,
            &quote!(::std::vec::Vec::new()),
        );
        return Ok(quote!(#errors #block #stub));
    }
    let implementation = implementation(
        &names,
        &block,
        session.as_ref(),
        declared,
        &lifecycle,
        &create(&block, &lifecycle),
        &all_tools(&tools, &arguments.tools),
    );
    let distinct = distinct(&block, &tools, &arguments.tools);
    Ok(quote!(#block #implementation #distinct))
}

pub(crate) fn check_block(block: &ItemImpl) -> Result<()> {
    if let Some((_, path, _)) = &block.trait_ {
        let message =
            "#[backend] and #[tools] belong on the struct's own impl blocks, not on a trait's";
        return Err(syn::Error::new_spanned(path, message));
    }
    if !block.generics.params.is_empty() {
        let message = "a backend has no type parameters: the host makes it from its class alone";
        return Err(syn::Error::new_spanned(&block.generics, message));
    }
    Ok(())
}

/// Sorts a function: lifecycle, tool, or the author's own.
fn sort(
    function: &mut ImplItemFn,
    session: Option<&Type>,
    lifecycle: &mut Lifecycle,
    tools: &mut Tools<'_>,
) -> Result<()> {
    let name = function.sig.ident.to_string();
    let is_lifecycle = LIFECYCLE.contains(&name.as_str());
    let Some(attribute) = take_attribute(function) else {
        return if is_lifecycle {
            lifecycle.add(&name, function, session)
        } else {
            Ok(())
        };
    };
    if is_lifecycle {
        let message = format!("`{name}` is a lifecycle function and cannot be a tool");
        return Err(syn::Error::new(function.sig.ident.span(), message));
    }
    tools.add(&attribute, function, SessionType::Known(session))
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

/// How the backend is made: by its `new`, or by its `Default`.
fn create(block: &ItemImpl, lifecycle: &Lifecycle) -> TokenStream {
    let backend = &block.self_ty;
    let default =
        || quote_spanned!(backend.span()=> Ok(<#backend as ::core::default::Default>::default()));
    lifecycle
        .new
        .as_ref()
        .map_or_else(default, Function::create)
}

/// The expression that lists the tools of this block and of the further ones.
fn all_tools(tools: &Tools<'_>, blocks: &[Ident]) -> TokenStream {
    let own = tools.entries();
    if blocks.is_empty() {
        return own;
    }
    let blocks = blocks.iter().map(constant_of);
    quote! {{
        let mut tools = #own;
        #(tools.extend((Self::#blocks.tools)());)*
        tools
    }}
}

/// Has the compiler see that no tool of one block is called as one of another: a macro sees one block alone, and no
/// conditions.
fn distinct(block: &ItemImpl, tools: &Tools<'_>, blocks: &[Ident]) -> TokenStream {
    let span = match blocks.first() {
        Some(first) => first.span(),
        None if tools.are_conditional() => block.self_ty.span(),
        None => return TokenStream::new(),
    };
    let (backend, own) = (&block.self_ty, tools.names());
    let blocks = blocks.iter().map(constant_of);
    quote_spanned! {span=>
        const _: () = ::sandbox_plugin_api::backend::names::check_distinct(
            &[&[#(#own),*], #(<#backend>::#blocks.names),*],
        );
    }
}

fn implementation(
    names: &Names,
    block: &ItemImpl,
    session: Option<&Type>,
    declared: Option<&Type>,
    lifecycle: &Lifecycle,
    create: &TokenStream,
    tools: &TokenStream,
) -> TokenStream {
    let backend = &block.self_ty;
    let meta = names.meta(lifecycle.kind());
    let none: Type = syn::parse_quote!(::sandbox_plugin_api::backend::NoConfig);
    let config = value_type(lifecycle.new.as_ref()).unwrap_or(&none);
    // The sessions of a shared backend that declares nothing may set what they like: its tools read it, or nobody.
    let anything = syn::parse_quote!(::sandbox_plugin_api::backend::AnyConfig);
    let session_config = match &lifecycle.initialize {
        None => declared.unwrap_or(&anything),
        initialize => value_type(initialize.as_ref()).unwrap_or(&none),
    };
    let unit: Type = syn::parse_quote!(());
    let session = session.unwrap_or(&unit);
    let warmup = call(lifecycle.warmup.as_ref());
    let shutdown = call(lifecycle.shutdown.as_ref());
    let probe = lifecycle.probe.as_ref().map(probe);
    let initialize = call(lifecycle.initialize.as_ref());
    let cleanup = call(lifecycle.cleanup.as_ref());
    quote! {
        #[automatically_derived]
        #[allow(
            unused_variables,
            clippy::needless_question_mark,
            clippy::unused_async,
            clippy::useless_conversion
        )]
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

            #probe

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
                #tools
            }
        }
    }
}

fn value_type(function: Option<&Function>) -> Option<&Type> {
    function.and_then(Function::value_type)
}

/// The `probe` of a backend that has one: what it returns becomes the reply's data.
fn probe(function: &Function) -> TokenStream {
    let call = function.call();
    quote! {
        async fn probe(
            &self,
            context: &::sandbox_plugin_api::CallContext,
        ) -> ::sandbox_plugin_api::Result<::sandbox_plugin_api::Reply> {
            let found: ::sandbox_plugin_api::Result<_> = #call;
            ::sandbox_plugin_api::Reply::new(found?)
        }
    }
}

/// The call of a lifecycle function; one that was not written does nothing.
fn call(function: Option<&Function>) -> TokenStream {
    function.map_or_else(|| quote!(Ok(())), Function::call)
}
