//! The machine as QEMU's command line. A template and its clones must be the same machine, so both are written here.

use std::{ffi::OsString, path::Path};

use serde_json::{Value, json};

use crate::{
    Error, Result, Settings, Shape,
    settings::{Accelerator, DiskInterface},
};

/// The name of the disk in the block layer.
pub(crate) const DISK: &str = "disk";
/// The file that takes what a booting guest writes to its serial port, in the machine's folder.
pub(crate) const SERIAL: &str = "serial.log";

/// The emulator's cache of translated code, in MiB. QEMU's own default is up to a gigabyte, which every guest would
/// fill in time.
const TRANSLATED_MIB: u32 = 128;

/// The memory of the graphics card: two pictures of 3840×2160.
const VIDEO_MIB: u32 = 64;

/// What to put together.
#[derive(Debug)]
pub(crate) struct Machine<'a> {
    pub(crate) shape: &'a Shape,
    pub(crate) settings: &'a Settings,
    pub(crate) accelerator: Accelerator,
    /// The file behind the guest's memory.
    pub(crate) memory: &'a Path,
    pub(crate) disk: &'a Path,
    pub(crate) role: Role<'a>,
}

/// What the machine is for.
#[derive(Debug)]
pub(crate) enum Role<'a> {
    /// It boots, or goes on from this snapshot of its disk, and its memory file is what it leaves.
    Template { snapshot: Option<&'a str> },
    /// It waits for a state, over a private view of a template's memory and this disk of it.
    Clone { below: &'a Path },
}

impl Machine<'_> {
    /// The command line.
    pub(crate) fn arguments(&self) -> Result<Vec<OsString>> {
        let mut line = Line::default();
        self.process(&mut line);
        self.computer(&mut line)?;
        self.devices(&mut line);
        self.disk(&mut line)?;
        self.start(&mut line)?;
        Ok(line.0)
    }

    fn process(&self, line: &mut Line) {
        line.flag("-nodefaults");
        line.flag("-no-user-config");
        // What breaks out of the guest still cannot start programs or gain rights.
        let sandbox = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny";
        line.option("-sandbox", sandbox);
        line.option("-name", "sandbox-vm");
        line.option("-display", "none");
        // Descriptors 0 and 1 are sockets; see `process`.
        line.option("-chardev", "socket,id=monitor,fd=0,server=off");
        line.option("-mon", "chardev=monitor,mode=control");
        line.option("-chardev", "socket,id=agent,fd=1,server=off");
        if self.shape.view && matches!(self.role, Role::Clone { .. }) {
            line.option("-vnc", "127.0.0.1:0,to=999,password=on");
        }
    }

    fn computer(&self, line: &mut Line) -> Result<()> {
        let (accelerator, processor) = match self.accelerator {
            Accelerator::Kvm => ("kvm".into(), "host"),
            _ => (format!("tcg,thread=multi,tb-size={TRANSLATED_MIB}"), "max"),
        };
        line.option("-machine", "q35,vmport=off,memory-backend=ram");
        line.option("-accel", accelerator);
        line.option("-cpu", processor);
        line.option("-smp", self.shape.cpus.to_string());
        line.option("-m", format!("{}M", self.shape.memory_mb));
        line.json(
            "-object",
            &json!({
                "qom-type": "memory-backend-file",
                "id": "ram",
                "mem-path": utf8(self.memory)?,
                "size": u64::from(self.shape.memory_mb) << 20,
                "share": matches!(self.role, Role::Template { .. }),
            }),
        );
        line.option("-rtc", "base=utc");
        Ok(())
    }

    fn devices(&self, line: &mut Line) {
        let (width, height) = self.shape.screen_size;
        line.device(format!(
            "VGA,edid=on,xres={width},yres={height},vgamem_mb={VIDEO_MIB}"
        ));
        line.device("qemu-xhci");
        line.device("usb-tablet");
        line.device("virtio-rng-pci");
        // Clones have the same random numbers to come unless the guest learns that it was cloned.
        line.device("vmgenid,guid=auto");
        line.device("virtio-serial-pci");
        line.device("virtserialport,chardev=agent,name=org.qemu.guest_agent.0");
        let serial = match self.role {
            Role::Template { .. } => format!("file,id=serial,path={SERIAL}"),
            Role::Clone { .. } => "null,id=serial".into(),
        };
        line.option("-chardev", serial);
        line.option("-serial", "chardev:serial");
        if self.settings.network {
            line.option("-netdev", "user,id=net");
            line.device("virtio-net-pci,netdev=net");
        }
    }

    fn disk(&self, line: &mut Line) -> Result<()> {
        let mut disk = qcow2(self.disk)?;
        disk["node-name"] = json!(DISK);
        if let Role::Clone { below } = &self.role {
            // Thrown away with the session: no need to wait until it is safe from a power cut.
            disk["cache"] = json!({ "no-flush": true });
            let mut frozen = qcow2(below)?;
            frozen["read-only"] = json!(true);
            disk["backing"] = frozen;
        }
        line.json("-blockdev", &disk);
        match self.settings.disk_interface {
            DiskInterface::Virtio => line.device(format!("virtio-blk-pci,drive={DISK}")),
            DiskInterface::Sata => line.device(format!("ide-hd,bus=ide.0,drive={DISK}")),
        }
        Ok(())
    }

    fn start(&self, line: &mut Line) -> Result<()> {
        if let Some(kernel) = &self.settings.kernel {
            line.option("-kernel", utf8(kernel)?);
            line.option("-append", &self.settings.kernel_args);
        }
        if let Some(initrd) = &self.settings.initrd {
            line.option("-initrd", utf8(initrd)?);
        }
        match &self.role {
            Role::Template { snapshot: None } => {}
            Role::Template {
                snapshot: Some(name),
            } => line.option("-loadvm", name),
            Role::Clone { .. } => line.option("-incoming", "defer"),
        }
        Ok(())
    }
}

fn qcow2(file: &Path) -> Result<Value> {
    Ok(json!({
        "driver": "qcow2",
        "file": { "driver": "file", "filename": utf8(file)? },
    }))
}

fn utf8(path: &Path) -> Result<&str> {
    path.to_str()
        .ok_or_else(|| Error::Config("a path of the configuration is not UTF-8".into()))
}

/// A command line that grows.
#[derive(Debug, Default)]
struct Line(Vec<OsString>);

impl Line {
    fn flag(&mut self, flag: &str) {
        self.0.push(flag.into());
    }

    fn option(&mut self, name: &str, value: impl AsRef<str>) {
        self.0.extend([name.into(), value.as_ref().into()]);
    }

    fn json(&mut self, name: &str, value: &Value) {
        self.option(name, value.to_string());
    }

    fn device(&mut self, device: impl AsRef<str>) {
        self.option("-device", device);
    }
}
