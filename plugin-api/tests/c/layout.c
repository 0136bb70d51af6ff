// Prints the layout of the structs as C sees them, in the form of src/abi/layout.golden.
#include <stdio.h>

#include "sandbox_plugin.h"

#define STRUCT(name)                                                                               \
    printf(#name " size %zu align %zu\n", sizeof(Sandbox##name), _Alignof(Sandbox##name))
#define FIELD(name, field) printf("  " #field " at %zu\n", offsetof(Sandbox##name, field))
#define SIZE(name) printf(#name " size %zu\n", sizeof(Sandbox##name))

// Not in the golden file, whose hash is the fingerprint: of these two it has the sizes only.
#define OWNED(name)                                                                                \
    _Static_assert(offsetof(Sandbox##name, ptr) == 0 && offsetof(Sandbox##name, len) == 8 &&       \
                       offsetof(Sandbox##name, capacity) == 16 &&                                  \
                       offsetof(Sandbox##name, free) == 24,                                        \
                   "the layout of Sandbox" #name)
OWNED(Buffer);
OWNED(BlobList);

int main(void)
{
    STRUCT(Slice);
    FIELD(Slice, ptr);
    FIELD(Slice, len);
    STRUCT(Host);
    FIELD(Host, size);
    FIELD(Host, abi_major);
    FIELD(Host, abi_minor);
    FIELD(Host, log);
    FIELD(Host, log_level);
    FIELD(Host, progress);
    FIELD(Host, output);
    FIELD(Host, worker_threads);
    FIELD(Host, reserved);
    STRUCT(LogRecord);
    FIELD(LogRecord, size);
    FIELD(LogRecord, level);
    FIELD(LogRecord, reserved);
    FIELD(LogRecord, target);
    FIELD(LogRecord, message);
    FIELD(LogRecord, fields);
    FIELD(LogRecord, worker);
    FIELD(LogRecord, session);
    FIELD(LogRecord, trace);
    FIELD(LogRecord, tool);
    STRUCT(Plugin);
    FIELD(Plugin, size);
    FIELD(Plugin, abi_major);
    FIELD(Plugin, abi_minor);
    FIELD(Plugin, describe);
    FIELD(Plugin, create);
    FIELD(Plugin, warmup);
    FIELD(Plugin, shutdown);
    FIELD(Plugin, initialize);
    FIELD(Plugin, cleanup);
    FIELD(Plugin, call);
    FIELD(Plugin, cancel);
    FIELD(Plugin, release_operation);
    FIELD(Plugin, release_session);
    FIELD(Plugin, release_backend);
    STRUCT(CreateRequest);
    FIELD(CreateRequest, size);
    // C++ has a keyword of that name, so the header adds an underline.
    printf("  class at %zu\n", offsetof(SandboxCreateRequest, class_));
    FIELD(CreateRequest, config);
    FIELD(CreateRequest, config_dir);
    STRUCT(OperationRequest);
    FIELD(OperationRequest, size);
    FIELD(OperationRequest, tool);
    FIELD(OperationRequest, reserved);
    FIELD(OperationRequest, params);
    FIELD(OperationRequest, worker);
    FIELD(OperationRequest, session_id);
    FIELD(OperationRequest, session_config);
    FIELD(OperationRequest, trace);
    FIELD(OperationRequest, timeout_ns);
    FIELD(OperationRequest, session);
    FIELD(OperationRequest, token);
    STRUCT(Completion);
    FIELD(Completion, user);
    FIELD(Completion, complete);
    STRUCT(Blob);
    FIELD(Blob, key);
    FIELD(Blob, media_type);
    FIELD(Blob, bytes);
    STRUCT(Outcome);
    FIELD(Outcome, size);
    FIELD(Outcome, status);
    FIELD(Outcome, code);
    FIELD(Outcome, message);
    FIELD(Outcome, data);
    FIELD(Outcome, meta);
    FIELD(Outcome, blobs);
    FIELD(Outcome, session);
    STRUCT(ManifestHeader);
    FIELD(ManifestHeader, magic);
    FIELD(ManifestHeader, header_size);
    FIELD(ManifestHeader, abi_major);
    FIELD(ManifestHeader, abi_minor);
    FIELD(ManifestHeader, json_len);
    FIELD(ManifestHeader, fingerprint);
    SIZE(Buffer);
    SIZE(BlobList);
    return 0;
}
