// sandbox_plugin.h: what a plugin in C is written against. Generated from src/abi; do not edit.
// SPDX-License-Identifier: Apache-2.0
//
// The binary interface between host and plugins: C-compatible types, and nothing that runs.
//
// # Policy
//
// * SANDBOX_ABI_MAJOR changes when something that exists changes its meaning or place. A host refuses
//   a plugin of another major, before loading it, with a message that says which side to upgrade.
// * SANDBOX_ABI_MINOR counts additions. Host and plugin of one major work together whatever their
//   minors are, in both directions.
// * Every struct that may grow begins with its `size` in bytes, as its writer knew it. Fields are
//   only appended. A reader refuses what is smaller than the frozen struct, uses no byte behind
//   `size`, and treats an added field that is not there as zero, which it must take for "absent".
// * The structs here are frozen for the major version: `abi_stable` compares them, field by
//   field, when a Rust plugin is loaded, and it refuses additions too. A later minor adds its
//   fields in a struct that begins with the frozen one, as C does it.
// * Versions of the product, of compilers and of crates are shown to people and never compared.
//
// # Rules of the boundary
//
// * Only bytes and handles cross. A SandboxSlice is borrowed until the function it was passed to
//   returns. A SandboxBuffer is owned by whoever holds it, and freed by the function it carries:
//   who allocates frees. Opaque handles belong to the plugin; the host gives each back once.
// * Text is UTF-8; structured data is JSON.
// * No unwinding crosses, in either direction. What a plugin's author wrote in Rust runs behind a
//   guard in the plugin; a panic there ends the operation with SANDBOX_STATUS_PANICKED. The crate's own
//   few steps before the guard do not panic; if one did, it would end the process.
// * An operation completes exactly once, from any thread, perhaps before the function that
//   started it returns, also after a cancel, and only when its work and destructors are done.
// * The functions of SandboxPlugin may be called from any thread and at the same time. They do not
//   block: what takes time goes on on a thread of the plugin's.
//
// # Trust
//
// A plugin runs in the host's process. Nothing here protects the host from one that is hostile,
// or that corrupts memory: it can read every secret of the process, and crash it. What the host
// can check it checks before it runs a plugin's code (see the loader), and an operator can pin
// the bytes of a library with `sha256` in the configuration. Load only what you would run.

#ifndef SANDBOX_PLUGIN_H
#define SANDBOX_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

// What a handle points to: known only to the side that made it.
typedef struct SandboxOpaque SandboxOpaque;


// The major version of the ABI: both sides must agree on it.
#define SANDBOX_ABI_MAJOR 1

// The minor version of the ABI: counts additions, never refused.
#define SANDBOX_ABI_MINOR 1

// A hash of the names, sizes, alignments and offsets of the frozen structs, on 64-bit platforms.
//
// Of SandboxBuffer and SandboxBlobList it has the names and sizes alone.
//
// It changes with SANDBOX_ABI_MAJOR only, since plugins with another are refused; a test computes it.
#define SANDBOX_FINGERPRINT 908379291654773349

// The operation ended by itself; `code` says how.
#define SANDBOX_STATUS_COMPLETED 0

// The plugin's code panicked; `message` holds the panic's message and place.
#define SANDBOX_STATUS_PANICKED 1

// The operation was cancelled, and nothing of it runs any more.
#define SANDBOX_STATUS_CANCELLED 2

// No limit, in a field that holds a timeout.
#define SANDBOX_NO_TIMEOUT UINT64_MAX

// Borrowed bytes, valid until the function that received them returns.
//
// A null `ptr` with `len` 0 is the empty slice.
typedef struct SandboxSlice {
    // The first byte, or null when `len` is 0.
    const uint8_t *ptr;
    // How many bytes there are.
    size_t len;
} SandboxSlice;

// One line for the log.
typedef struct SandboxLogRecord {
    // The size of this struct in bytes.
    size_t size;
    // 1 error, 2 warn, 3 info, 4 debug, 5 trace.
    uint32_t level;
    // Not used.
    uint32_t reserved;
    // The part of the program that speaks, for example a module path.
    struct SandboxSlice target;
    // What happened.
    struct SandboxSlice message;
    // A JSON object with the record's fields, or empty.
    struct SandboxSlice fields;
    // The worker on whose behalf the plugin works, or empty.
    struct SandboxSlice worker;
    // The session's id, or empty.
    struct SandboxSlice session;
    // The trace id of the call, or empty.
    struct SandboxSlice trace;
    // The tool that is running, or empty.
    struct SandboxSlice tool;
} SandboxLogRecord;

// What the host lends to a plugin. Valid as long as the process.
typedef struct SandboxHost {
    // The size of this struct in bytes, as the host knows it.
    size_t size;
    // The host's SANDBOX_ABI_MAJOR.
    uint32_t abi_major;
    // The host's SANDBOX_ABI_MINOR.
    uint32_t abi_minor;
    // Writes one record to the host's log. Any thread, any time.
    void (*log)(const struct SandboxLogRecord *record);
    // The most verbose level that the host's log takes: 0 off, 1 error … 5 trace. May change.
    uint32_t (*log_level)(void);
    // Tells how far the operation with this token is: `done` of `total` (0: unknown), in words.
    void (*progress)(SandboxOpaque *token, double done, double total, struct SandboxSlice message);
    // Hands over a part of the result of the operation with this token before it ends.
    void (*output)(SandboxOpaque *token, struct SandboxSlice chunk);
    // How many threads the plugin's own runtime should have.
    uint32_t worker_threads;
    // Not used; keeps the size the same on every platform.
    uint32_t reserved;
} SandboxHost;

// Owned bytes, freed by the side that allocated them.
typedef struct SandboxBuffer {
    // The first byte, or null when `len` is 0.
    uint8_t *ptr;
    // How many bytes there are.
    size_t len;
    // For `free`; nobody else looks at it.
    size_t capacity;
    // Frees the bytes: called once, from any thread. Null for bytes that stay for ever.
    void (*free)(uint8_t *ptr, size_t len, size_t capacity);
} SandboxBuffer;

// Bytes in a result that are not JSON, an image for example.
typedef struct SandboxBlob {
    // The key in the result's data under which a client finds the bytes, as base64.
    struct SandboxBuffer key;
    // The media type, `image/png` for example.
    struct SandboxBuffer media_type;
    // The bytes.
    struct SandboxBuffer bytes;
} SandboxBlob;

// Owned array of SandboxBlobs, freed by the side that allocated it, the blobs' own buffers included.
typedef struct SandboxBlobList {
    // The first blob, or null when `len` is 0.
    struct SandboxBlob *ptr;
    // How many blobs there are.
    size_t len;
    // For `free`; nobody else looks at it.
    size_t capacity;
    // Frees the array and the blobs' own buffers: called once, from any thread. Null for blobs
    // that stay for ever.
    void (*free)(struct SandboxBlob *ptr, size_t len, size_t capacity);
} SandboxBlobList;

// How an operation ended.
typedef struct SandboxOutcome {
    // The size of this struct in bytes.
    size_t size;
    // SANDBOX_STATUS_COMPLETED, SANDBOX_STATUS_PANICKED or SANDBOX_STATUS_CANCELLED.
    uint32_t status;
    // The code of the protocol: 0 for success.
    int32_t code;
    // What a client may read about it; empty for the host's default.
    struct SandboxBuffer message;
    // The result: JSON, or empty for `null`.
    struct SandboxBuffer data;
    // A JSON object with keys to add to the answer's `meta`, or empty.
    struct SandboxBuffer meta;
    // Binary parts of the result.
    struct SandboxBlobList blobs;
    // `initialize`: the session's handle.
    SandboxOpaque *session;
} SandboxOutcome;

// What `create` needs.
typedef struct SandboxCreateRequest {
    // The size of this struct in bytes.
    size_t size;
    // The class, as the manifest names it.
    struct SandboxSlice class_;
    // The backend's configuration: a JSON object.
    struct SandboxSlice config;
    // The directory that relative paths in the configuration are relative to.
    struct SandboxSlice config_dir;
} SandboxCreateRequest;

// What an asynchronous operation needs; each takes of it what concerns it.
typedef struct SandboxOperationRequest {
    // The size of this struct in bytes.
    size_t size;
    // `call`: the tool's index in the description.
    uint32_t tool;
    // Not used.
    uint32_t reserved;
    // `call`: the parameters, a JSON object. `initialize`: the session's configuration.
    struct SandboxSlice params;
    // The worker on whose behalf this happens, or empty.
    struct SandboxSlice worker;
    // The session's id, or empty.
    struct SandboxSlice session_id;
    // The configuration of a session without a handle (of a shared backend), a JSON object, or empty.
    struct SandboxSlice session_config;
    // The trace that this belongs to, as whoever asked for it named it (32 hex digits where nobody did), or empty.
    struct SandboxSlice trace;
    // Nanoseconds from now until the host gives up; SANDBOX_NO_TIMEOUT for none.
    uint64_t timeout_ns;
    // The session's handle; null for tools that need none.
    SandboxOpaque *session;
    // Names this operation to SandboxHost.progress and SandboxHost.output, until it completes; null when nobody
    // listens to them.
    SandboxOpaque *token;
} SandboxOperationRequest;

// Whom to tell that an operation is over.
typedef struct SandboxCompletion {
    // The host's own; handed back untouched.
    SandboxOpaque *user;
    // Called exactly once per operation. Takes what `outcome` owns, leaves the struct itself.
    void (*complete)(SandboxOpaque *user, struct SandboxOutcome *outcome);
} SandboxCompletion;

// What a plugin offers. Valid as long as the process; every function may be called from any thread.
//
// None of these functions is null: a host refuses a table in which one is. One that has nothing to do completes at
// once, or does nothing.
typedef struct SandboxPlugin {
    // The size of this struct in bytes, as the plugin knows it.
    size_t size;
    // The plugin's SANDBOX_ABI_MAJOR.
    uint32_t abi_major;
    // The plugin's SANDBOX_ABI_MINOR.
    uint32_t abi_minor;
    // Describes the backend of this class as JSON in `outcome.data`; docs/plugin-abi.md says what is in it.
    void (*describe)(struct SandboxSlice class_name, struct SandboxOutcome *outcome);
    // Makes a backend from its configuration. Null when `outcome.code` is not 0. Does no slow work.
    SandboxOpaque *(*create)(const struct SandboxCreateRequest *request,
                             struct SandboxOutcome *outcome);
    // Starts what all sessions share. Like the next four, an operation: it returns the handle for
    // `cancel` and `release_operation`, or null when it has completed already. Comes again after it failed, and after a
    // panic in what is shared; `shutdown` comes between.
    SandboxOpaque *(*warmup)(SandboxOpaque *backend,
                             const struct SandboxOperationRequest *request,
                             struct SandboxCompletion completion);
    // Stops what all sessions share: when the host stops, as the last operation on the backend, and before each
    // further `warmup`, when there may be sessions and calls. The handle stays valid until `release_backend`.
    SandboxOpaque *(*shutdown)(SandboxOpaque *backend,
                               const struct SandboxOperationRequest *request,
                               struct SandboxCompletion completion);
    // Makes a session; its handle comes in `outcome.session`.
    SandboxOpaque *(*initialize)(SandboxOpaque *backend,
                                 const struct SandboxOperationRequest *request,
                                 struct SandboxCompletion completion);
    // Ends a session, once. The handle stays valid until `release_session`: calls that ignore their
    // cancellation may still run in it.
    SandboxOpaque *(*cleanup)(SandboxOpaque *backend,
                              const struct SandboxOperationRequest *request,
                              struct SandboxCompletion completion);
    // Calls a tool.
    SandboxOpaque *(*call)(SandboxOpaque *backend,
                           const struct SandboxOperationRequest *request,
                           struct SandboxCompletion completion);
    // Asks an operation to stop. It still completes; asking again, or too late, does nothing.
    void (*cancel)(SandboxOpaque *operation);
    // Gives an operation's handle back, once, whether it has completed or not.
    void (*release_operation)(SandboxOpaque *operation);
    // Gives a session's handle back, once.
    void (*release_session)(SandboxOpaque *backend, SandboxOpaque *session);
    // Gives a backend's handle back, once, after its last session.
    void (*release_backend)(SandboxOpaque *backend);
} SandboxPlugin;

// The fixed part of a manifest; `json_len` bytes of JSON follow it.
typedef struct SandboxManifestHeader {
    // SANDBOX_MANIFEST_MAGIC.
    uint8_t magic[8];
    // The size of this struct: where the JSON begins.
    uint32_t header_size;
    // The plugin's SANDBOX_ABI_MAJOR.
    uint32_t abi_major;
    // The plugin's SANDBOX_ABI_MINOR.
    uint32_t abi_minor;
    // How many bytes of JSON follow.
    uint32_t json_len;
    // The plugin's SANDBOX_FINGERPRINT.
    uint64_t fingerprint;
} SandboxManifestHeader;

// A span of a plugin's, when it has ended.
typedef struct SandboxSpanRecord {
    // The size of this struct in bytes.
    size_t size;
    // When it began, in nanoseconds since 1970.
    uint64_t start_ns;
    // When it ended.
    uint64_t end_ns;
    // The span, as a W3C `traceparent`.
    struct SandboxSlice traceparent;
    // The id of the span that it is a part of: 16 hex digits.
    struct SandboxSlice parent;
    // What it is called.
    struct SandboxSlice name;
    // The part of the program that it is in, for example a module path.
    struct SandboxSlice target;
    // A JSON object with its fields, or empty.
    struct SandboxSlice fields;
} SandboxSpanRecord;

// SandboxHost since minor 1.
typedef struct SandboxHost1 {
    // What every host has.
    struct SandboxHost base;
    // Takes a span that has ended. Any thread, any time.
    void (*span)(const struct SandboxSpanRecord *record);
} SandboxHost1;

// SandboxPlugin since minor 1.
typedef struct SandboxPlugin1 {
    // What every plugin has.
    struct SandboxPlugin base;
    // Says how a backend is: an operation like `warmup`, for a backend that is warm. Null when no
    // backend of the library can say; one that cannot answers with success and no data.
    SandboxOpaque *(*probe)(SandboxOpaque *backend,
                            const struct SandboxOperationRequest *request,
                            struct SandboxCompletion completion);
} SandboxPlugin1;

// SandboxOperationRequest since minor 1.
typedef struct SandboxOperationRequest1 {
    // What every request has.
    struct SandboxOperationRequest base;
    // The W3C `traceparent` for what happens inside the operation, or empty. Its last digit is odd
    // when spans are wanted.
    struct SandboxSlice traceparent;
    // The `tracestate` that goes with it, or empty.
    struct SandboxSlice tracestate;
} SandboxOperationRequest1;

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
