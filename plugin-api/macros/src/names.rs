//! What a backend is called, and the JSON that says so in the manifest.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{ItemImpl, LitStr, Result, Type};

use crate::{arguments::BackendArguments, signature::doc_text};

/// The names of a backend.
pub(crate) struct Names {
    pub(crate) name: LitStr,
    class: LitStr,
    description: String,
    version: TokenStream,
    /// The version as it stands between quotes in JSON.
    version_in_json: TokenStream,
}

impl Names {
    pub(crate) fn new(arguments: &BackendArguments, block: &ItemImpl) -> Result<Self> {
        let wrong = |message| syn::Error::new_spanned(&block.self_ty, message);
        let Type::Path(path) = &*block.self_ty else {
            return Err(wrong("#[backend] belongs on the impl block of a struct"));
        };
        let name = arguments
            .name
            .clone()
            .ok_or_else(|| wrong("a backend needs a name: #[backend(name = \"…\")]"))?;
        check_name(&name, &name.value())?;
        let ident = path
            .path
            .get_ident()
            .ok_or_else(|| wrong("name the struct here as it is declared"))?;
        let class = arguments
            .class
            .clone()
            .unwrap_or_else(|| LitStr::new(&ident.to_string(), ident.span()));
        let description = arguments
            .description
            .as_ref()
            .map_or_else(|| doc_text(&block.attrs), LitStr::value);
        let (version, version_in_json) = arguments.version.as_ref().map_or_else(
            || {
                // Cargo takes no version that JSON would write in another way.
                let version = quote!(::core::env!("CARGO_PKG_VERSION"));
                (version.clone(), version)
            },
            |version| {
                let in_json = escaped(&version.value());
                (quote!(#version), quote!(#in_json))
            },
        );
        Ok(Self {
            name,
            class,
            description,
            version,
            version_in_json,
        })
    }

    /// The `Meta` constant, and the same as JSON for the manifest.
    pub(crate) fn meta(&self, kind: &str) -> TokenStream {
        let Self {
            name,
            class,
            description,
            version,
            version_in_json,
        } = self;
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
                manifest: ::core::concat!(#head, #version_in_json, "\"}"),
            }
        }
    }
}

/// What stands before the colon in a tool's name when the author wrote no colon.
#[derive(Clone, Copy)]
pub(crate) enum Prefix<'a> {
    /// The backend's name, which stands above.
    Known(&'a LitStr),
    /// The name of the backend that this type is: it stands in another block.
    NameOf(&'a Type),
}

impl Prefix<'_> {
    /// The prefix, as a constant expression.
    pub(crate) fn tokens(self) -> TokenStream {
        match self {
            Self::Known(name) => quote!(#name),
            Self::NameOf(backend) => {
                quote!(<#backend as ::sandbox_plugin_api::backend::Backend>::META.name)
            }
        }
    }

    /// The full name, as a constant expression.
    pub(crate) fn join(self, action: &str) -> TokenStream {
        match self {
            Self::Known(name) => {
                let full = format!("{}:{action}", name.value());
                quote!(#full)
            }
            Self::NameOf(backend) => quote!(::sandbox_plugin_api::full_name!(#backend, #action)),
        }
    }
}

/// Names are parts of tool names, keys and file names, so they keep to what is safe in all three.
pub(crate) fn check_name(literal: &LitStr, text: &str) -> Result<()> {
    let good = text.starts_with(|first: char| first.is_ascii_lowercase())
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-');
    if good {
        return Ok(());
    }
    let message =
        "a name begins with a lower-case letter and has lower-case letters, digits, _ and - only";
    Err(syn::Error::new(literal.span(), message))
}

/// A JSON string. Written here because a macro crate that pulls in a JSON crate slows every build.
fn json(text: &str) -> String {
    format!("\"{}\"", escaped(text))
}

/// What stands between the quotes of a JSON string.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_ascii_control() => out.extend([format!("\\u{:04x}", u32::from(c))]),
            c => out.push(c),
        }
    }
    out
}
