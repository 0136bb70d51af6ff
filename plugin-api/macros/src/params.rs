//! The type that a tool's parameters are read into: the author's own, or one written here.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::{Expr, LitStr, Result, spanned::Spanned};

use crate::signature::{Parameter, Role};

/// The type that the parameters are read into.
pub(crate) struct Params {
    /// The declaration of the hidden struct, or nothing when the author has one.
    pub(crate) declaration: TokenStream,
    /// The type's name.
    pub(crate) ty: TokenStream,
    /// A pattern that takes it apart into the author's names.
    pub(crate) pattern: TokenStream,
}

impl Params {
    pub(crate) fn of(parameters: &[Parameter]) -> Result<Self> {
        let values: Vec<&Parameter> = parameters
            .iter()
            .filter(|parameter| matches!(parameter.role, Role::Value))
            .collect();
        if let Some(whole) = values.iter().find(|value| is_whole(value)) {
            return Self::whole(whole, &values);
        }
        let fields = values
            .iter()
            .map(|value| field(value))
            .collect::<Result<Vec<_>>>()?;
        let names = values.iter().map(|value| &value.name);
        let (fields, defaults): (Vec<_>, Vec<_>) = fields.into_iter().unzip();
        // Items of a block hide those of the author's module, also from the types and expressions that stand in the
        // block: a name that an author may use, such as `Params`, would be taken for the author's own.
        Ok(Self {
            declaration: quote! {
                #(#defaults)*
                #[derive(
                    ::sandbox_plugin_api::private::serde::Deserialize,
                    ::sandbox_plugin_api::private::schemars::JsonSchema,
                )]
                #[serde(crate = "::sandbox_plugin_api::private::serde")]
                #[schemars(crate = "::sandbox_plugin_api::private::schemars")]
                struct __SandboxParams { #(#fields),* }
            },
            ty: quote!(__SandboxParams),
            pattern: quote!(__SandboxParams { #(#names),* }),
        })
    }

    /// The author's own struct, marked `#[params]`.
    fn whole(whole: &Parameter, values: &[&Parameter]) -> Result<Self> {
        if let [_, other, ..] = values {
            let message = "#[params] is the whole object of parameters: it stands alone";
            return Err(syn::Error::new(other.name.span(), message));
        }
        let other = whole
            .attributes
            .iter()
            .find(|it| !it.path().is_ident("params"));
        if let Some(other) = other {
            let message = "write this on the fields of the struct";
            return Err(syn::Error::new_spanned(other, message));
        }
        let (ty, name) = (&whole.ty, &whole.name);
        Ok(Self {
            declaration: TokenStream::new(),
            ty: quote!(#ty),
            pattern: quote!(#name),
        })
    }
}

fn is_whole(parameter: &Parameter) -> bool {
    let attributes = &parameter.attributes;
    attributes.iter().any(|it| it.path().is_ident("params"))
}

/// A field of the hidden struct, and the function that gives its default.
fn field(parameter: &Parameter) -> Result<(TokenStream, TokenStream)> {
    let (name, ty) = (&parameter.name, &parameter.ty);
    let (mut kept, mut default) = (Vec::new(), TokenStream::new());
    for attribute in &parameter.attributes {
        let path = attribute.path();
        if path.is_ident("default") {
            let value: Expr = attribute.parse_args()?;
            let function = quote::format_ident!("__sandbox_default_{name}");
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
            return Err(syn::Error::new_spanned(attribute, message));
        }
    }
    // Spanned at the type: a type that is not Deserialize or has no schema is an error there.
    Ok((quote_spanned!(ty.span()=> #(#kept)* #name: #ty), default))
}
