//! Processor time and memory, as `/proc` tells them.

use std::time::Duration;

/// `/proc` counts in ticks of 10 ms on every Linux (`USER_HZ` is 100 there; proc(5)).
const TICK: Duration = Duration::from_millis(10);

/// Processor time used.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cpu {
    pub(crate) user: Duration,
    pub(crate) system: Duration,
}

impl Cpu {
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            user: self.user.saturating_sub(before.user),
            system: self.system.saturating_sub(before.system),
        }
    }
}

/// Of all children that have ended and been waited for.
pub(crate) fn of_children() -> Cpu {
    std::fs::read_to_string("/proc/self/stat").map_or_else(|_| Cpu::default(), |stat| read_stat(&stat, 16).1)
}

/// Of each thread of a process by its name, the busiest first.
pub(crate) fn of_threads(pid: u32) -> Vec<(String, Cpu)> {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let mut threads: Vec<(String, Cpu)> = tasks
        .flatten()
        .filter_map(|task| std::fs::read_to_string(task.path().join("stat")).ok())
        .map(|stat| read_stat(&stat, 14))
        .collect();
    threads.sort_by_key(|(_, cpu)| std::cmp::Reverse(cpu.user + cpu.system));
    threads
}

/// Most memory that a process ever had resident, in bytes.
pub(crate) fn peak_memory(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Name, and user and system time from field `first` (counted from 1 as in
/// proc(5)). The name is in parentheses and may hold anything.
fn read_stat(stat: &str, first: usize) -> (String, Cpu) {
    let (head, tail) = stat.rsplit_once(')').unwrap_or(("", stat));
    let name = head.split_once('(').map_or("", |(_, name)| name).to_owned();
    let mut ticks = tail.split_whitespace().skip(first - 3).map(|text| text.parse::<u32>().unwrap_or(0));
    let mut next = || ticks.next().map_or(Duration::ZERO, |count| TICK * count);
    (name, Cpu { user: next(), system: next() })
}
