//! The functions with a meaning of their own: `new`, `warmup`, `probe`, `shutdown`, `initialize`, `cleanup`.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::{ImplItemFn, Result, Type, spanned::Spanned};

use crate::signature::{Parameter, Role, SessionType, allow_our_shape, parameters, result_type};

/// Their names.
pub(crate) const LIFECYCLE: [&str; 6] = [
    "new",
    "warmup",
    "probe",
    "shutdown",
    "initialize",
    "cleanup",
];

/// Those of them that the author wrote.
#[derive(Default)]
pub(crate) struct Lifecycle {
    pub(crate) new: Option<Function>,
    pub(crate) warmup: Option<Function>,
    pub(crate) probe: Option<Function>,
    pub(crate) shutdown: Option<Function>,
    pub(crate) initialize: Option<Function>,
    pub(crate) cleanup: Option<Function>,
}

/// One of them.
pub(crate) struct Function {
    name: String,
    parameters: Vec<Parameter>,
    result: Type,
}

impl Lifecycle {
    /// Takes the function with this name in.
    pub(crate) fn add(
        &mut self,
        name: &str,
        function: &mut ImplItemFn,
        session: Option<&Type>,
    ) -> Result<()> {
        let function = Function::of(name, function, session)?;
        let place = match name {
            "new" => &mut self.new,
            "warmup" => &mut self.warmup,
            "probe" => &mut self.probe,
            "shutdown" => &mut self.shutdown,
            "initialize" => &mut self.initialize,
            _ => &mut self.cleanup,
        };
        *place = Some(function);
        Ok(())
    }

    /// The backend's kind follows from which functions exist.
    pub(crate) fn kind(&self) -> &'static str {
        match (&self.initialize, &self.warmup, &self.shutdown) {
            (None, _, _) => "Shared",
            (Some(_), None, None) => "Session",
            (Some(_), _, _) => "Hybrid",
        }
    }
}

impl Function {
    fn of(name: &str, function: &mut ImplItemFn, session: Option<&Type>) -> Result<Self> {
        let span = function.sig.ident.span();
        let is_async = function.sig.asyncness.is_some();
        if name == "new" && is_async {
            let message = "`new` is a plain fn: what takes time belongs in `warmup`";
            return Err(syn::Error::new(span, message));
        }
        if name != "new" && !is_async {
            return Err(syn::Error::new(span, format!("`{name}` is an async fn")));
        }
        if name == "cleanup" && session.is_none() {
            let message = "`cleanup` ends a session, and without `initialize` there is none";
            return Err(syn::Error::new(span, message));
        }
        if name != "new" {
            check_receiver(name, function)?;
        }
        let result = result_type(function)?;
        let parameters = parameters(function, SessionType::Known(session))?;
        check_roles(name, &parameters)?;
        allow_our_shape(function);
        Ok(Self {
            name: name.to_owned(),
            parameters,
            result,
        })
    }

    /// The type of its one by-value parameter: a configuration.
    pub(crate) fn value_type(&self) -> Option<&Type> {
        self.parameters
            .iter()
            .find(|parameter| matches!(parameter.role, Role::Value))
            .map(|parameter| &parameter.ty)
    }

    /// The call of `new`.
    pub(crate) fn create(&self) -> TokenStream {
        let arguments = self.arguments();
        let span = self.result.span();
        quote_spanned!(span=> Self::new(#(#arguments),*).map_err(::core::convert::From::from))
    }

    /// The call of one of the others.
    pub(crate) fn call(&self) -> TokenStream {
        let name = format_ident!("{}", self.name);
        let arguments = self.arguments();
        let span = self.result.span();
        quote_spanned! {span=>
            Self::#name(self, #(#arguments),*).await.map_err(::core::convert::From::from)
        }
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

fn check_receiver(name: &str, function: &ImplItemFn) -> Result<()> {
    let receiver = function.sig.receiver();
    if receiver.is_some_and(|it| it.reference.is_some() && it.mutability.is_none()) {
        return Ok(());
    }
    let message = format!(
        "`{name}` takes &self: calls run at the same time, so what changes needs a lock of its own"
    );
    Err(syn::Error::new(function.sig.ident.span(), message))
}

/// Each function may ask only for what there is when it runs.
fn check_roles(name: &str, parameters: &[Parameter]) -> Result<()> {
    let mut configured = false;
    for parameter in parameters {
        let offered = match parameter.role {
            Role::Value => matches!(name, "new" | "initialize") && !configured,
            Role::Env => name == "new",
            Role::Context => name != "new",
            Role::Info | Role::OptionalInfo => matches!(name, "initialize" | "cleanup"),
            Role::Session | Role::OptionalSession => name == "cleanup",
        };
        configured |= matches!(parameter.role, Role::Value);
        if !offered {
            let message = format!("`{name}` takes {} at most", offer(name));
            return Err(syn::Error::new_spanned(&parameter.ty, message));
        }
        if let Some(attribute) = parameter.attributes.first() {
            let message = "attributes on parameters are for tools";
            return Err(syn::Error::new_spanned(attribute, message));
        }
    }
    Ok(())
}

/// What a function may take, in words.
fn offer(name: &str) -> &'static str {
    match name {
        "new" => "a configuration (by value) and &BackendEnv",
        "initialize" => "a configuration (by value), &SessionInfo and &CallContext",
        "cleanup" => "the session (&), &SessionInfo and &CallContext",
        _ => "&CallContext",
    }
}
