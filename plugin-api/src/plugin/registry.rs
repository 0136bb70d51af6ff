//! The backends of this library, by class.

use std::sync::{PoisonError, RwLock};

use super::instance::{AnyBackend, Instance};
use crate::{backend::Backend, context::BackendEnv, error::Result};

static REGISTRY: RwLock<Vec<Registration>> = RwLock::new(Vec::new());

/// How the host makes a backend of one class.
#[derive(Clone, Copy)]
pub struct Registration {
    /// By which it is found.
    class: &'static str,
    pub(crate) describe: fn() -> serde_json::Value,
    pub(crate) create: Create,
}

type Create = fn(&[u8], &BackendEnv) -> Result<Box<dyn AnyBackend>>;

impl Registration {
    /// The registration of `B` under another class than its own.
    #[cfg(feature = "testkit")]
    pub(crate) const fn under<B: Backend>(class: &'static str) -> Self {
        Self {
            class,
            ..Self::of::<B>()
        }
    }

    /// The registration of `B`.
    #[must_use]
    pub const fn of<B: Backend>() -> Self {
        Self {
            class: B::META.class,
            describe: super::describe::describe::<B>,
            create: Instance::<B>::create,
        }
    }
}

/// Makes backends known to `describe` and `create`; a class that is known already stays.
pub fn register(registrations: &[Registration]) {
    let mut known = REGISTRY.write().unwrap_or_else(PoisonError::into_inner);
    for registration in registrations {
        if !known.iter().any(|entry| entry.class == registration.class) {
            known.push(*registration);
        }
    }
}

pub(crate) fn find(class: &str) -> Option<Registration> {
    let known = REGISTRY.read().unwrap_or_else(PoisonError::into_inner);
    known.iter().find(|entry| entry.class == class).copied()
}
