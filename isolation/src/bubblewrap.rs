//! The command line of bubblewrap: which parts of the machine a sandbox sees.
//!
//! How the program is started and limited is in `launch`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::launch::{FILTER_FD, Program, REPORT_FD};
use crate::{HOME, Policy, SESSION_FOLDER, Size};

/// Top-level directories that hold programs and libraries. On merged systems most are links into `/usr`.
const SYSTEM: [&str; 6] = ["/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"];

/// What programs need of `/etc`. The rest stays hidden: world-readable files there may hold secrets of the machine.
const ETC: [&str; 36] = [
    "alternatives",
    "bash_completion.d",
    "ca-certificates",
    "ca-certificates.conf",
    "crypto-policies",
    "debian_version",
    "fonts",
    "gai.conf",
    "host.conf",
    "hosts",
    "inputrc",
    "java-11-openjdk",
    "java-17-openjdk",
    "java-21-openjdk",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "locale.alias",
    "locale.conf",
    "localtime",
    "lsb-release",
    "magic",
    "mime.types",
    "nsswitch.conf",
    "os-release",
    "perl",
    "pki",
    "protocols",
    "python3",
    "python3.11",
    "python3.12",
    "python3.13",
    "resolv.conf",
    "services",
    "ssl",
    "timezone",
];

/// Collects arguments; each kind of argument reads as one call.
struct Arguments(Vec<OsString>);

impl Arguments {
    fn add<const N: usize>(&mut self, words: [&str; N]) {
        self.0.extend(words.map(OsString::from));
    }

    fn bind(&mut self, how: &str, source: &Path, target: &Path) {
        self.0.extend([how.into(), source.into(), target.into()]);
    }

    fn tmpfs(&mut self, mode: &str, size: Size, target: &str) {
        self.add([
            "--perms",
            mode,
            "--size",
            &size.0.to_string(),
            "--tmpfs",
            target,
        ]);
    }
}

/// Everything after the word `bwrap`, up to and with `--`.
pub(crate) fn arguments(
    policy: &Policy,
    program: &Program,
    [passwd, group]: &[PathBuf; 2],
) -> Vec<OsString> {
    let mut arguments = Arguments(Vec::with_capacity(160));
    namespaces(&mut arguments, policy);
    system(&mut arguments);
    arguments.bind("--ro-bind", passwd, Path::new("/etc/passwd"));
    arguments.bind("--ro-bind", group, Path::new("/etc/group"));
    let size = policy.limits.tmp_size;
    arguments.tmpfs("1777", size, "/tmp");
    arguments.tmpfs("0755", size, "/run");
    arguments.tmpfs("1777", size, "/dev/shm");
    arguments.tmpfs("0700", size, HOME);
    arguments.add([
        "--symlink",
        "/tmp",
        "/var/tmp",
        "--symlink",
        "/run",
        "/var/run",
    ]);
    for mount in policy.mounts.iter().chain(&program.mounts) {
        let how = if mount.writable {
            "--bind"
        } else {
            "--ro-bind"
        };
        arguments.bind(
            how,
            &mount.source,
            mount.target.as_deref().unwrap_or(&mount.source),
        );
    }
    arguments.bind("--ro-bind", program.folder(), Path::new(SESSION_FOLDER));
    // What is left writable is limited in size: the root and /dev are temporary filesystems without a limit.
    arguments.add(["--remount-ro", "/dev", "--remount-ro", "/"]);
    arguments.add(["--seccomp", FILTER_FD]);
    if program.report {
        arguments.add(["--json-status-fd", REPORT_FD]);
    }
    arguments.add(["--clearenv"]);
    for (name, value) in &program.env {
        arguments.add(["--setenv", name, value]);
    }
    arguments.add(["--chdir", &program.cwd, "--"]);
    arguments.0
}

fn namespaces(arguments: &mut Arguments, policy: &Policy) {
    arguments.add([
        "--unshare-user",
        "--unshare-pid",
        "--unshare-ipc",
        "--unshare-uts",
        "--unshare-cgroup-try",
    ]);
    if !policy.network {
        arguments.add(["--unshare-net"]);
    }
    // User namespaces inside would give programs capabilities again, and with them much of the kernel's surface.
    arguments.add(["--disable-userns", "--cap-drop", "ALL"]);
    // A terminal of the server must not be the sandbox's: a new session has none. It also makes `kill 0` inside
    // stay inside, since process groups cross pid namespaces.
    arguments.add(["--die-with-parent", "--new-session"]);
    arguments.add(["--uid", "1000", "--gid", "1000", "--hostname", "sandbox"]);
}

fn system(arguments: &mut Arguments) {
    let usr = Path::new("/usr");
    arguments.bind("--ro-bind", usr, usr);
    for dir in SYSTEM {
        let path = Path::new(dir);
        match path.read_link() {
            Ok(link) => arguments.bind("--symlink", &link, path),
            Err(_) => arguments.bind("--ro-bind-try", path, path),
        }
    }
    for name in ETC {
        let path = Path::new("/etc").join(name);
        arguments.bind("--ro-bind-try", &path, &path);
    }
    arguments.add(["--proc", "/proc", "--dev", "/dev"]);
}
