//! `export!`: what makes a library a plugin.

use abi_stable::prefix_type::PrefixTypeTrait;

use crate::abi::{PluginEntry, RootModule, RootModuleRef};

/// Exports backends from this library: the manifest, the C entry, and the door for Rust plugins.
///
/// Once per library, with every backend that it has:
///
/// ```
/// # use sandbox_plugin_api::prelude::*;
/// # #[derive(Default)] struct RagBackend;
/// # #[backend(name = "rag")] impl RagBackend {}
/// # #[derive(Default)] struct DocBackend;
/// # #[backend(name = "doc")] impl DocBackend {}
/// sandbox_plugin_api::export!(RagBackend, DocBackend);
/// ```
#[macro_export]
macro_rules! export {
    ($first:ty $(, $backend:ty)* $(,)?) => {
        const _: () = {
            use $crate::{abi, backend::Backend, plugin, private::abi_stable};

            const PARTS: &[&str] = &[
                "{\"language\":\"rust\",\"sdk\":\"", $crate::export::SDK,
                "\",\"rustc\":\"", $crate::export::RUSTC,
                "\",\"target\":\"", $crate::export::TARGET,
                "\",\"panic\":\"", if cfg!(panic = "unwind") { "unwind" } else { "abort" },
                "\",\"backends\":[",
                <$first as Backend>::META.manifest,
                $(",", <$backend as Backend>::META.manifest,)*
                "]}",
            ];
            const LENGTH: usize = $crate::export::length(PARTS);

            #[used]
            #[unsafe(no_mangle)]
            pub static SANDBOX_PLUGIN_MANIFEST: abi::Manifest<LENGTH> = abi::Manifest::new(PARTS);

            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn sandbox_plugin_entry(
                host: *const abi::Host,
            ) -> *const abi::Plugin {
                plugin::register(&[
                    plugin::Registration::of::<$first>(),
                    $(plugin::Registration::of::<$backend>(),)*
                ]);
                // SAFETY: the host's promise, handed on.
                unsafe { plugin::entry(host) }
            }

            extern "C" fn root_module() -> abi_stable::library::RootModuleResult {
                abi_stable::library::__call_root_module_loader(|| {
                    $crate::export::root_module(sandbox_plugin_entry)
                })
            }

            // The name is `abi::ROOT_SYMBOL`; an attribute takes only a literal.
            #[used]
            #[unsafe(export_name = "_1as_0lib_1header_0root_bmodule_bloader")]
            pub static ROOT_MODULE: abi_stable::library::LibHeader = unsafe {
                // SAFETY: `root_module` returns what was made from a `RootModuleRef`.
                abi_stable::library::LibHeader::from_constructor::<abi::RootModuleRef>(
                    root_module,
                    abi_stable::library::CheckTypeLayout::Yes,
                )
            };
        };
    };
}

/// The version of this crate that the plugin was built with.
pub const SDK: &str = env!("SANDBOX_SDK");

/// The compiler that built it.
pub const RUSTC: &str = env!("SANDBOX_RUSTC");

/// The platform it was built for.
pub const TARGET: &str = env!("SANDBOX_TARGET");

/// How many bytes the parts have together.
#[must_use]
pub const fn length(parts: &[&str]) -> usize {
    let (mut part, mut length) = (0, 0);
    while part < parts.len() {
        length += parts[part].len();
        part += 1;
    }
    length
}

/// The root module with this entry function.
#[must_use]
pub fn root_module(entry: PluginEntry) -> RootModuleRef {
    RootModule { entry }.leak_into_prefix()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_root_module_has_the_name_that_abi_stable_looks_for() {
        let name = "_1as_0lib_1header_0root_bmodule_bloader";
        assert_eq!(crate::abi::ROOT_SYMBOL, name);
    }
}
