//! How much memory a process has, as the kernel counts it.

use std::fs;

use anyhow::Context as _;

/// Memory of a process, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory {
    /// Resident: every page that is mapped and in memory, shared ones in full.
    pub(crate) resident: u64,
    /// Proportional: a page that several processes share counts in parts.
    pub(crate) proportional: u64,
}

/// The memory of this process.
pub(crate) fn of(process: u32) -> anyhow::Result<Memory> {
    let file = format!("/proc/{process}/smaps_rollup");
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {file}"))?;
    Ok(Memory {
        resident: field(&text, "Rss:").with_context(|| format!("no Rss in {file}"))?,
        proportional: field(&text, "Pss:").with_context(|| format!("no Pss in {file}"))?,
    })
}

/// The proportional memory of this process and of everything that it started and that lives.
pub(crate) fn of_tree(process: u32) -> anyhow::Result<u64> {
    let mut sum = of(process)?.proportional;
    for child in children(process) {
        // A child that has ended by now has no memory.
        sum += of_tree(child).unwrap_or(0);
    }
    Ok(sum)
}

fn children(parent: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|process| parent_of(*process) == Some(parent))
        .collect()
}

fn parent_of(process: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The program's name stands in parentheses and may hold anything; its state and its parent follow.
    let (_, fields) = stat.rsplit_once(") ")?;
    fields.split(' ').nth(1)?.parse().ok()
}

/// A field of the form `Rss:   1234 kB`.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_and_a_parent() {
        let own = std::process::id();
        let memory = of(own).unwrap();
        assert!(memory.resident >= memory.proportional && memory.proportional > 0);
        let parent = parent_of(own).unwrap();
        assert!(children(parent).contains(&own));
    }

    #[test]
    fn fields_are_read_in_kibibytes() {
        let text =
            "Rss:                1234 kB\nPss:                 12 kB\nPss_Dirty:            1 kB\n";
        assert_eq!(field(text, "Pss:"), Some(12 * 1024));
        assert_eq!(field(text, "Swap:"), None);
    }
}
