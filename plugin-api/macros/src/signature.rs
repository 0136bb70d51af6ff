//! What a function's parameters and return type mean: the session, the context, or a tool's parameter.

use syn::{
    Attribute, Expr, FnArg, GenericArgument, ImplItemFn, Pat, PatType, PathArguments, Result,
    ReturnType, Type, spanned::Spanned,
};

/// What a parameter of an author's function is.
pub(crate) enum Role {
    /// `&CallContext`.
    Context,
    /// `&SessionInfo`.
    Info,
    /// `Option<&SessionInfo>`.
    OptionalInfo,
    /// `&Session`.
    Session,
    /// `Option<&Session>`.
    OptionalSession,
    /// `&BackendEnv`.
    Env,
    /// Anything else: by value.
    Value,
}

/// One parameter: its role, name, type and attributes.
pub(crate) struct Parameter {
    pub(crate) role: Role,
    /// `_` where the author wrote a pattern instead.
    pub(crate) name: syn::Ident,
    pub(crate) ty: Type,
    pub(crate) attributes: Vec<Attribute>,
}

/// Which references are the session.
#[derive(Clone, Copy)]
pub(crate) enum SessionType<'a> {
    /// Those to what `initialize` returns, if there is one.
    Known(Option<&'a Type>),
    /// `initialize` stands in another block: those to a type that is not one of the usual borrowed ones. The compiler
    /// compares it with the real one.
    Elsewhere,
}

impl SessionType<'_> {
    fn is(self, ty: &Type) -> bool {
        match self {
            Self::Known(session) => session == Some(ty),
            Self::Elsewhere => {
                let borrowed = ["str", "String", "Vec", "Path", "PathBuf", "Value"];
                last_segment(ty).is_some_and(|name| !borrowed.contains(&name.as_str()))
            }
        }
    }
}

/// Takes a function's parameters after `&self` apart, and their attributes away: a function may
/// not keep doc comments and `#[serde]` on its parameters.
pub(crate) fn parameters(
    function: &mut ImplItemFn,
    session: SessionType<'_>,
) -> Result<Vec<Parameter>> {
    let mut parameters = Vec::new();
    for argument in &mut function.sig.inputs {
        if let FnArg::Typed(argument) = argument {
            parameters.push(parameter(argument, session)?);
        }
    }
    Ok(parameters)
}

fn parameter(argument: &mut PatType, session: SessionType<'_>) -> Result<Parameter> {
    let name = match &*argument.pat {
        Pat::Ident(pattern) => Some(pattern.ident.clone()),
        _ => None,
    };
    Ok(Parameter {
        role: role(&argument.ty, session)?,
        name: name.unwrap_or_else(|| syn::Ident::new("_", argument.pat.span())),
        ty: (*argument.ty).clone(),
        attributes: std::mem::take(&mut argument.attrs),
    })
}

fn role(ty: &Type, session: SessionType<'_>) -> Result<Role> {
    if let Type::Reference(reference) = ty {
        if reference.mutability.is_some() {
            let message = "calls run at the same time, also in one session: take it by & and put \
                           what changes behind a lock of its own";
            return Err(syn::Error::new_spanned(ty, message));
        }
        return reference_role(&reference.elem, session).ok_or_else(|| {
            let message = "a tool's parameter is an owned value (String, not &str); references are \
                           for &CallContext, &SessionInfo and the session that `initialize` returns";
            syn::Error::new_spanned(ty, message)
        });
    }
    if let Some(Type::Reference(inner)) = argument_of(ty, "Option") {
        return match reference_role(&inner.elem, session) {
            Some(Role::Info) => Ok(Role::OptionalInfo),
            Some(Role::Session) => Ok(Role::OptionalSession),
            _ => Err(syn::Error::new_spanned(
                ty,
                "only the session and &SessionInfo may be optional references",
            )),
        };
    }
    Ok(Role::Value)
}

fn reference_role(ty: &Type, session: SessionType<'_>) -> Option<Role> {
    match last_segment(ty).as_deref() {
        Some("CallContext") => Some(Role::Context),
        Some("SessionInfo") => Some(Role::Info),
        Some("BackendEnv") => Some(Role::Env),
        _ if session.is(ty) => Some(Role::Session),
        _ => None,
    }
}

/// Keeps lints quiet about what is asked of the author: a receiver, a `Result`, owned parameters and
/// an `async`, whether this one function needs them or not.
pub(crate) fn allow_our_shape(function: &mut ImplItemFn) {
    function.attrs.push(syn::parse_quote! {
        #[allow(
            clippy::needless_pass_by_value,
            clippy::trivially_copy_pass_by_ref,
            clippy::unnecessary_wraps,
            clippy::unused_async,
            clippy::unused_self
        )]
    });
}

/// The type `T` of a function that returns `Result<T>` or `Result<T, E>`.
pub(crate) fn result_type(function: &ImplItemFn) -> Result<Type> {
    let wrong = |span| {
        let name = &function.sig.ident;
        syn::Error::new(span, format!("`{name}` must return Result<…>: it may fail"))
    };
    let ReturnType::Type(_, ty) = &function.sig.output else {
        return Err(wrong(function.sig.ident.span()));
    };
    argument_of(ty, "Result")
        .cloned()
        .ok_or_else(|| wrong(ty.span()))
}

/// The first type argument of `ty`, if it is a `name<…>`.
fn argument_of<'a>(ty: &'a Type, name: &str) -> Option<&'a Type> {
    let Type::Path(path) = ty else { return None };
    let segment = path.path.segments.last()?;
    let PathArguments::AngleBracketed(arguments) = &segment.arguments else {
        return None;
    };
    match arguments.args.first()? {
        GenericArgument::Type(inner) if segment.ident == name => Some(inner),
        _ => None,
    }
}

fn last_segment(ty: &Type) -> Option<String> {
    match ty {
        Type::Path(path) => path.path.segments.last().map(|last| last.ident.to_string()),
        _ => None,
    }
}

/// The text of doc comments, one line each, without the space that follows `///`.
pub(crate) fn doc_text(attributes: &[Attribute]) -> String {
    let lines = attributes
        .iter()
        .filter_map(|attribute| match &attribute.meta {
            syn::Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
                Expr::Lit(syn::ExprLit {
                    lit: syn::Lit::Str(text),
                    ..
                }) => {
                    let text = text.value();
                    Some(
                        text.strip_prefix(' ')
                            .unwrap_or(&text)
                            .trim_end()
                            .to_owned(),
                    )
                }
                _ => None,
            },
            _ => None,
        });
    lines.collect::<Vec<_>>().join("\n").trim().to_owned()
}
