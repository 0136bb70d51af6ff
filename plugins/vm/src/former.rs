//! The settings of the Python server's `vm` that are others here, or none.

use sandbox_plugin_api::former::FormerKeys;
use serde_json::{Value, json};

const NO_CLOUD: &str = "desktops are made on this machine, not in a cloud";
const NO_CLOUD_ADVICE: &str =
    "remove it; `provider` is `display`, or `qemu` with a disk image in `vm_path`";
const NO_PORT: &str = "desktops are driven without a port of their own";

pub(crate) fn former() -> FormerKeys {
    let keys = FormerKeys::new()
        .advised(
            "provider",
            "desktops are made on this machine, in no container or cloud: \"qemu\" boots the disk image in `vm_path`, \
             \"display\" needs no image and has the programs of this machine",
        )
        .renamed("provider_name", "provider")
        .needless("snapshot_name", [""])
        .needless("os_type", ["Ubuntu", "Linux"])
        .refused(
            "os_type",
            "a display has the programs of this machine, and a virtual machine the system of its disk image",
            "remove it; with \"provider\": \"qemu\", name an image of that system in `vm_path`",
        )
        .needless("connection_type", ["local"])
        .refused(
            "connection_type",
            "desktops are driven directly, not over VNC or RDP",
            "remove it; \"headless\": false gives each a VNC view for people",
        )
        .needless("host", [Value::Null])
        .refused(
            "host",
            "desktops are made on this machine, and none is reached elsewhere",
            "remove it",
        )
        .needless("port", [Value::Null])
        .refused("port", NO_PORT, "remove it")
        .needless("pool_reset", [true])
        .refused(
            "pool_reset",
            "a desktop serves one session and goes: no other session sees what was left on it",
            "remove it; `pool_size` says how many fresh ones are kept ready",
        )
        .needless("use_proxy", [false])
        .refused(
            "use_proxy",
            "desktops have no proxy of their own",
            "remove it; `network` says whether their programs reach anything, and a step of `setup` may tell them a proxy",
        )
        .without_effect(
            "client_password",
            "nothing here logs in to a desktop or asks it for a password",
        )
        .refused(
            "timeout",
            "how long tools may run is no setting of a backend",
            "move it one level up, beside `config`: `resources.vm.timeout`",
        );
    let ports = ["server_port", "chromium_port", "vnc_port", "vlc_port"];
    let keys = ports
        .into_iter()
        .fold(keys, |keys, port| keys.without_effect(port, NO_PORT));
    let cloud = [
        "access_key",
        "secret_key",
        "image_id",
        "instance_type",
        "vswitch_id",
        "security_group_id",
    ];
    cloud.into_iter().chain(["region"]).fold(
        keys.needless("region", [json!(""), Value::Null]),
        |keys, key| keys.refused(key, NO_CLOUD, NO_CLOUD_ADVICE),
    )
}
