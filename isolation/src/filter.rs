//! The system calls that no program in a sandbox needs, as the filter that bubblewrap installs (`seccomp(2)`).
//!
//! Namespaces hide what a call could reach; this takes the calls away that reach round them: keyrings and virtual
//! sockets know no namespace, and the rest is surface of the kernel that only a privileged program has a use for.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, sock_filter,
};

/// The first number of the x32 calls on x86-64: the same calls again, past every rule about the plain numbers.
#[cfg(target_arch = "x86_64")]
const X32: u32 = 0x4000_0000;

/// Calls that are refused whatever their arguments.
const REFUSED: &[i64] = &[
    // Keyrings belong to users, not to namespaces; the session's keyring is inherited from the server.
    libc::SYS_add_key,
    libc::SYS_keyctl,
    libc::SYS_request_key,
    // Mounts and namespaces.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_mount_setattr,
    // Large parts of the kernel that ordinary programs do not use, with a history of faults.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_kcmp,
    libc::SYS_lookup_dcookie,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    libc::SYS_quotactl,
    libc::SYS_syslog,
    libc::SYS_vhangup,
    // The machine itself.
    libc::SYS_acct,
    libc::SYS_delete_module,
    libc::SYS_finit_module,
    libc::SYS_init_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
];

/// Calls of which programs are told that the kernel is too old for them, so that they use another way: the arguments
/// of `clone3` are out of a filter's sight, and `io_uring` does other calls' work past any filter.
const UNKNOWN: &[i64] = &[
    libc::SYS_clone3,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
];

/// The filter as the bytes that bubblewrap reads: an array of `struct sock_filter`.
///
/// # Errors
/// The reason, as a clause, when this machine's architecture has no filter.
pub(crate) fn program() -> Result<Vec<u8>, String> {
    let instructions = instructions().map_err(|error| error.to_string())?;
    Ok(instructions.iter().flat_map(bytes).collect())
}

fn instructions() -> Result<BpfProgram, seccompiler::BackendError> {
    let refused = SeccompFilter::new(
        rules()?,
        SeccompAction::Allow,
        SeccompAction::Errno(libc::EPERM.cast_unsigned()),
        std::env::consts::ARCH.try_into()?,
    )?;
    let mut program = unknown_calls();
    program.extend(BpfProgram::try_from(refused)?);
    Ok(program)
}

/// The instructions that say `ENOSYS`; what they do not concern falls through to what follows.
fn unknown_calls() -> BpfProgram {
    /// The offset of the call's number in `struct seccomp_data`.
    const NUMBER: u32 = 0;
    let statement = |code: u32, k: u32| sock_filter {
        code: u16::try_from(code).unwrap_or_default(),
        jt: 0,
        jf: 0,
        k,
    };
    let answer = libc::SECCOMP_RET_ERRNO | libc::ENOSYS.cast_unsigned();
    let mut program = vec![statement(
        libc::BPF_LD | libc::BPF_W | libc::BPF_ABS,
        NUMBER,
    )];
    let mut refuse = |jump: u32, number: u32| {
        program.push(sock_filter {
            jf: 1,
            ..statement(libc::BPF_JMP | jump | libc::BPF_K, number)
        });
        program.push(statement(libc::BPF_RET | libc::BPF_K, answer));
    };
    #[cfg(target_arch = "x86_64")]
    refuse(libc::BPF_JGE, X32);
    for number in UNKNOWN {
        refuse(libc::BPF_JEQ, u32::try_from(*number).unwrap_or(u32::MAX));
    }
    program
}

fn rules() -> Result<BTreeMap<i64, Vec<SeccompRule>>, seccompiler::BackendError> {
    let word = SeccompCmpArgLen::Dword;
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        REFUSED.iter().map(|call| (*call, Vec::new())).collect();
    // Of the address families only these are confined by a network namespace or need none. AF_VSOCK reaches the host
    // of a virtual machine from every namespace in it.
    let families = [
        libc::AF_UNIX,
        libc::AF_INET,
        libc::AF_INET6,
        libc::AF_NETLINK,
    ];
    let other_family = families
        .map(|family| {
            SeccompCondition::new(
                0,
                word.clone(),
                SeccompCmpOp::Ne,
                u64::from(family.cast_unsigned()),
            )
        })
        .into_iter()
        .collect::<Result<Vec<_>, _>>()?;
    rules.insert(libc::SYS_socket, vec![SeccompRule::new(other_family)?]);
    // New namespaces by `clone`: one rule for each, since any of the bits is enough.
    let namespaces = [
        libc::CLONE_NEWUSER,
        libc::CLONE_NEWNS,
        libc::CLONE_NEWPID,
        libc::CLONE_NEWNET,
        libc::CLONE_NEWIPC,
        libc::CLONE_NEWUTS,
        libc::CLONE_NEWCGROUP,
    ];
    let clone = namespaces.map(|flag| {
        let bit = u64::from(flag.cast_unsigned());
        let set = SeccompCondition::new(0, word.clone(), SeccompCmpOp::MaskedEq(bit), bit)?;
        SeccompRule::new(vec![set])
    });
    rules.insert(
        libc::SYS_clone,
        clone.into_iter().collect::<Result<_, _>>()?,
    );
    // Typing into the terminal of somebody else.
    let typing = [libc::TIOCSTI, libc::TIOCLINUX].map(|request| {
        let same = SeccompCondition::new(1, word.clone(), SeccompCmpOp::Eq, request)?;
        SeccompRule::new(vec![same])
    });
    rules.insert(
        libc::SYS_ioctl,
        typing.into_iter().collect::<Result<_, _>>()?,
    );
    Ok(rules)
}

fn bytes(instruction: &sock_filter) -> Vec<u8> {
    let jumps = [instruction.jt, instruction.jf];
    let code = instruction.code.to_ne_bytes();
    [&code[..], &jumps, &instruction.k.to_ne_bytes()].concat()
}

#[cfg(test)]
mod tests {
    #[test]
    fn this_machine_has_a_filter_that_the_kernel_would_take() {
        let program = super::program().unwrap();
        assert!(program.len().is_multiple_of(8));
        // BPF_MAXINSNS of linux/bpf_common.h.
        assert!(program.len() / 8 <= 4096);
    }
}
