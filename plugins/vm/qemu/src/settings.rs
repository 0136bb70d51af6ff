//! What an operator may say about virtual machines beyond what all desktops have.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What runs the guest's processors.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Accelerator {
    /// KVM if the image boots with it within `kvm_boot_seconds`, else software emulation.
    #[default]
    Auto,
    /// The kernel's virtualisation or nothing.
    Kvm,
    /// Software emulation.
    Tcg,
}

/// How the disk is attached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DiskInterface {
    /// Fast; Linux has the driver.
    #[default]
    Virtio,
    /// For guests without a virtio driver.
    Sata,
}

/// What stands in the configuration under `qemu`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// `auto`, `kvm` or `tcg`.
    pub accelerator: Accelerator,
    /// `virtio` or `sata`.
    pub disk_interface: DiskInterface,
    /// Whether guests reach the network, through QEMU's user-mode network. It stands in the configuration beside `qemu`,
    /// as other kinds of desktops have it too.
    #[serde(skip)]
    pub network: bool,
    /// A Linux kernel to start instead of the disk's boot loader.
    pub kernel: Option<PathBuf>,
    /// The RAM disk for `kernel`.
    pub initrd: Option<PathBuf>,
    /// The command line for `kernel`.
    pub kernel_args: String,
    /// A text that the guest writes to its first serial port when it is ready. Without one it is ready when it listens
    /// to the tablet and its picture has been still for a few seconds.
    pub ready_text: Option<String>,
    /// How long a boot may take.
    #[schemars(range(min = 1))]
    pub boot_seconds: u64,
    /// How long a boot with KVM may take before software emulation is used instead.
    #[schemars(range(min = 1))]
    pub kvm_boot_seconds: u64,
    /// A folder to keep booted templates in from one start of the server to the next. Each takes as much space as the
    /// machine's memory. Without one they are made anew at every start.
    pub template_cache: Option<PathBuf>,
    /// What is put before the commands of `vm:launch`, as to run them as the user whose desktop it is.
    pub launch_prefix: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            accelerator: Accelerator::default(),
            disk_interface: DiskInterface::default(),
            network: false,
            kernel: None,
            initrd: None,
            kernel_args: String::new(),
            ready_text: None,
            boot_seconds: 300,
            kvm_boot_seconds: 30,
            template_cache: None,
            launch_prefix: Vec::new(),
        }
    }
}
