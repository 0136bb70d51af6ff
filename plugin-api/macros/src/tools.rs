//! The tools of a block, and the blocks that have nothing but tools.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Attribute, Ident, ImplItem, ImplItemFn, ItemImpl, Result};

use crate::{
    arguments::block_name,
    backend::check_block,
    lifecycle::LIFECYCLE,
    names::Prefix,
    signature::SessionType,
    tool::{self, Tool},
};

/// The tools of one block.
pub(crate) struct Tools<'a> {
    prefix: Prefix<'a>,
    tools: Vec<Tool>,
}

impl<'a> Tools<'a> {
    pub(crate) fn new(prefix: Prefix<'a>) -> Self {
        let tools = Vec::new();
        Self { prefix, tools }
    }

    /// Takes a function that has `#[tool]` in.
    pub(crate) fn add(
        &mut self,
        attribute: &Attribute,
        function: &mut ImplItemFn,
        session: SessionType<'_>,
    ) -> Result<()> {
        let prefix = self.prefix;
        let tool = tool::expand(attribute, function, prefix, session)?;
        for name in &tool.names {
            let text = name.text(prefix);
            // Of tools that exist under conditions only the compiler knows which are there at the same time.
            let others = self.tools.iter();
            let others = others.filter(|other| other.cfgs.is_empty() && tool.cfgs.is_empty());
            let mut taken = others.flat_map(|other| &other.names);
            if taken.any(|other| other.text(prefix) == text) {
                let message = format!("another tool is called `{text}` already");
                return Err(syn::Error::new(name.span, message));
            }
        }
        self.tools.push(tool);
        Ok(())
    }

    /// The expression that makes the list of their entries.
    pub(crate) fn entries(&self) -> TokenStream {
        let entries = self.tools.iter().map(|tool| &tool.entry);
        if !self.are_conditional() {
            return quote!(::std::vec![#(#entries),*]);
        }
        let cfgs = self.tools.iter().map(|tool| &tool.cfgs);
        quote! {{
            #[allow(unused_mut)]
            let mut entries = ::std::vec::Vec::new();
            #(#(#cfgs)* entries.push(#entries);)*
            entries
        }}
    }

    /// Whether any of them exists under a condition only.
    pub(crate) fn are_conditional(&self) -> bool {
        self.tools.iter().any(|tool| !tool.cfgs.is_empty())
    }

    /// Their names and aliases, as constant expressions.
    pub(crate) fn names(&self) -> impl Iterator<Item = TokenStream> {
        let prefix = self.prefix;
        self.tools.iter().flat_map(move |tool| {
            let cfgs = &tool.cfgs;
            tool.names.iter().map(move |name| {
                let name = name.tokens(prefix);
                quote!(#(#cfgs)* #name)
            })
        })
    }
}

/// The constant that stands for a block. When no backend lists the block, the compiler says that it is never used.
pub(crate) fn constant_of(block: &Ident) -> Ident {
    format_ident!("tools_of_{block}", span = block.span())
}

/// Takes `#[tool]` off a function.
pub(crate) fn take_attribute(function: &mut ImplItemFn) -> Option<Attribute> {
    let position = function.attrs.iter().position(|attribute| {
        let last = attribute.path().segments.last();
        last.is_some_and(|last| last.ident == "tool")
    })?;
    Some(function.attrs.remove(position))
}

/// `#[tools(name)]`.
pub(crate) fn expand(arguments: TokenStream, mut block: ItemImpl) -> Result<TokenStream> {
    let name = block_name(arguments)?;
    check_block(&block)?;
    let backend = block.self_ty.clone();
    let mut tools = Tools::new(Prefix::NameOf(&backend));
    let mut errors: Option<syn::Error> = None;
    for item in &mut block.items {
        let ImplItem::Fn(function) = item else {
            continue;
        };
        if let Err(error) = sort(function, &mut tools) {
            match &mut errors {
                Some(all) => all.combine(error),
                none => *none = Some(error),
            }
        }
    }
    // The block is there all the same, so that the compiler does not complain about what would be.
    let errors = errors.map(syn::Error::into_compile_error);
    let constant = constant_of(&name);
    let (entries, names) = (tools.entries(), tools.names());
    Ok(quote! {
        #errors
        #block
        #[automatically_derived]
        impl #backend {
            #[allow(
                non_upper_case_globals,
                unused_variables,
                clippy::needless_question_mark,
                clippy::useless_conversion
            )]
            pub(crate) const #constant: ::sandbox_plugin_api::backend::ToolBlock<Self> =
                ::sandbox_plugin_api::backend::ToolBlock {
                    names: &[#(#names),*],
                    tools: || #entries,
                };
        }
    })
}

fn sort(function: &mut ImplItemFn, tools: &mut Tools<'_>) -> Result<()> {
    let name = function.sig.ident.to_string();
    if LIFECYCLE.contains(&name.as_str()) {
        let message =
            format!("`{name}` is a lifecycle function and belongs in the #[backend] block");
        return Err(syn::Error::new(function.sig.ident.span(), message));
    }
    match take_attribute(function) {
        Some(attribute) => tools.add(&attribute, function, SessionType::Elsewhere),
        None => Ok(()),
    }
}
