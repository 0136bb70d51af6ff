//! The door for Rust plugins: an `abi_stable` root module, whose layout check compares every frozen struct.
//!
//! What stands behind it is the same entry function that the C symbol is. `abi_stable` 0.11
//! refuses an older library as soon as a field was appended to what it checks, so this module and
//! all it reaches never change within a major version.
#![allow(
    unsafe_code,
    reason = "the derive writes the unsafe impls that state a layout"
)]
#![expect(
    clippy::expl_impl_clone_on_copy,
    reason = "the derive writes both for the reference to the module"
)]

use abi_stable::{StableAbi, library::RootModule as AbiStableRoot, sabi_types::VersionStrings};

use super::{Host, Plugin};

/// The symbol under which `abi_stable` looks for a root module.
pub const ROOT_SYMBOL: &str = abi_stable::library::ROOT_MODULE_LOADER_NAME;

/// The root module of a Rust plugin.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = RootModuleRef)))]
#[sabi(missing_field(panic))]
pub struct RootModule {
    /// The same function as the C symbol [`ENTRY_SYMBOL`](super::ENTRY_SYMBOL).
    #[sabi(last_prefix_field)]
    pub entry: unsafe extern "C" fn(host: *const Host) -> *const Plugin,
}

impl AbiStableRoot for RootModuleRef {
    abi_stable::declare_root_module_statics! {RootModuleRef}
    const BASE_NAME: &'static str = "sandbox_plugin";
    const NAME: &'static str = "sandbox_plugin";
    /// The ABI's version, not the product's: the check compares majors.
    const VERSION_STRINGS: VersionStrings = VersionStrings::new("1.0.0");
}
