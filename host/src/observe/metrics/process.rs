//! The metrics of the process, under the names that every Prometheus client gives them.

use std::fs;

use super::text::{Exposition, Kind};

/// Writes what the system says; what it does not say is left out.
pub(super) fn write(page: &mut Exposition) {
    if let Some(stat) = Stat::read() {
        page.one(
            "process_cpu_seconds_total",
            Kind::Counter,
            "User and system time.",
            stat.cpu_seconds,
        );
        page.one(
            "process_start_time_seconds",
            Kind::Gauge,
            "When the process began, since the epoch.",
            stat.started,
        );
        page.one(
            "process_threads",
            Kind::Gauge,
            "Threads, those of plugins included.",
            stat.threads,
        );
        page.one(
            "process_resident_memory_bytes",
            Kind::Gauge,
            "Memory in use.",
            stat.resident,
        );
    }
    if let Ok(files) = fs::read_dir("/proc/self/fd") {
        page.one(
            "process_open_fds",
            Kind::Gauge,
            "Open file descriptors.",
            files.count(),
        );
    }
}

struct Stat {
    cpu_seconds: f64,
    started: f64,
    threads: u64,
    resident: u64,
}

impl Stat {
    /// See proc(5): the fields after the command, which may itself hold blanks, begin with the third.
    fn read() -> Option<Self> {
        let text = fs::read_to_string("/proc/self/stat").ok()?;
        let (_, rest) = text.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split(' ').collect();
        let field = |number: usize| fields.get(number - 3)?.trim().parse::<u64>().ok();
        let ticks = ticks_per_second();
        let boot = fs::read_to_string("/proc/stat").ok()?;
        let boot = boot.lines().find_map(|line| line.strip_prefix("btime "))?;
        Some(Self {
            cpu_seconds: seconds(field(14)? + field(15)?, ticks),
            started: boot.trim().parse::<f64>().ok()? + seconds(field(22)?, ticks),
            threads: field(20)?,
            resident: field(24)? * rustix::param::page_size() as u64,
        })
    }
}

fn ticks_per_second() -> u64 {
    rustix::param::clock_ticks_per_second()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "times of a process, to be read by people"
)]
fn seconds(ticks: u64, per_second: u64) -> f64 {
    ticks as f64 / per_second as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_says_what_this_process_uses() {
        let stat = Stat::read().unwrap();
        assert!(stat.resident > 1 << 20 && stat.threads > 0);
        let now = std::time::SystemTime::UNIX_EPOCH
            .elapsed()
            .unwrap()
            .as_secs_f64();
        assert!((now - stat.started).abs() < 86_400.0, "{}", stat.started);
    }
}
