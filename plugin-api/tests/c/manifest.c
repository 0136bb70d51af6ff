// Uses what the header has, so that a compiler looks at all of it.
#include "sandbox_plugin.h"

SANDBOX_PLUGIN_MANIFEST_JSON("{\"language\":\"c\",\"backends\":[]}");

const SandboxPlugin *sandbox_plugin_entry(const SandboxHost *host)
{
    static SandboxPlugin plugin;
    plugin.size = sizeof plugin;
    plugin.abi_major = SANDBOX_ABI_MAJOR;
    plugin.abi_minor = SANDBOX_ABI_MINOR;
    return host->abi_major == SANDBOX_ABI_MAJOR ? &plugin : NULL;
}
