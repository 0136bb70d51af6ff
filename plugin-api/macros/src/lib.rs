//! The attribute macros of `sandbox-plugin-api`: `#[backend]` on an impl block, `#[tool]` inside it, `#[tools]` on further
//! blocks of the same struct.
//!
//! Read `backend` first: it takes the block apart; `tools` does it with the further ones. `lifecycle` knows the six
//! functions with a meaning of their own, `tool` turns one function into one entry of the tool table, `params` writes the
//! struct that its parameters are read into, and `signature` knows what a parameter's type means.

mod arguments;
mod backend;
mod lifecycle;
mod names;
mod params;
mod signature;
mod tool;
mod tools;

use proc_macro::TokenStream;
use syn::{ItemImpl, parse_macro_input};

/// Makes a struct a backend; see the documentation of `sandbox-plugin-api`.
#[proc_macro_attribute]
pub fn backend(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let block = parse_macro_input!(item as ItemImpl);
    backend::expand(arguments.into(), block)
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}

/// Marks a further impl block of a backend, whose tools the `#[backend]` block lists by the name given here.
#[proc_macro_attribute]
pub fn tools(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let block = parse_macro_input!(item as ItemImpl);
    tools::expand(arguments.into(), block)
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}

/// Marks a function of a `#[backend]` or `#[tools]` block as a tool; alone it means nothing.
#[proc_macro_attribute]
pub fn tool(_: TokenStream, item: TokenStream) -> TokenStream {
    let message =
        "#[tool] belongs on a function inside an impl block that has #[backend(…)] or #[tools(…)]";
    let error = syn::Error::new(proc_macro2::Span::call_site(), message).into_compile_error();
    let item: proc_macro2::TokenStream = item.into();
    quote::quote!(#error #item).into()
}
