#if defined(_WIN32)
#define SANDBOX_EXPORT __declspec(dllexport)
#else
#define SANDBOX_EXPORT __attribute__((visibility("default")))
#endif

// The first bytes of a manifest, the closing zero included.
#define SANDBOX_MANIFEST_MAGIC "SBXPLUG"

#ifdef __cplusplus
#define SANDBOX_EXTERN_C extern "C"
#else
#define SANDBOX_EXTERN_C extern
#endif

// The function that every plugin exports. It is called once, before anything else. It returns a
// table that stays valid as long as the process, or null when the plugin cannot work with this host.
SANDBOX_EXTERN_C SANDBOX_EXPORT const SandboxPlugin *sandbox_plugin_entry(const SandboxHost *host);

// Declares the manifest, the data symbol SANDBOX_PLUGIN_MANIFEST, with this JSON as a string
// literal. Once per library, outside any function, followed by a semicolon:
//
//     SANDBOX_PLUGIN_MANIFEST_JSON(
//         "{\"language\":\"c\",\"backends\":[{\"name\":\"echo\",\"class\":\"Echo\","
//         "\"kind\":\"shared\",\"description\":\"Answers.\",\"version\":\"1.0.0\"}]}");
//
#define SANDBOX_PLUGIN_MANIFEST_JSON(text)                                                         \
    struct SandboxPluginManifest {                                                                 \
        SandboxManifestHeader header;                                                              \
        char json[sizeof(text)];                                                                   \
    };                                                                                             \
    SANDBOX_EXTERN_C SANDBOX_EXPORT const struct SandboxPluginManifest SANDBOX_PLUGIN_MANIFEST;    \
    const struct SandboxPluginManifest SANDBOX_PLUGIN_MANIFEST = {                                 \
        {SANDBOX_MANIFEST_MAGIC,                                                                   \
         (uint32_t)sizeof(SandboxManifestHeader),                                                  \
         SANDBOX_ABI_MAJOR,                                                                        \
         SANDBOX_ABI_MINOR,                                                                        \
         (uint32_t)(sizeof(text) - 1),                                                             \
         SANDBOX_FINGERPRINT},                                                                     \
        text}

#endif // SANDBOX_PLUGIN_H
