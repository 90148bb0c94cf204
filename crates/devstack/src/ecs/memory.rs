//! Resident memory of process groups, by polling `/proc`.

use std::collections::HashMap;
use std::fs;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often a task's memory is looked at.
pub(super) const POLL: Duration = Duration::from_millis(100);

/// One reading of `/proc` serves all tasks that ask within a poll.
#[derive(Default)]
pub(super) struct Memory(Mutex<Option<(Instant, HashMap<i32, u64>)>>);

impl Memory {
    /// Bytes that the processes of this group hold now, pages shared between them counted for each.
    pub(super) fn of(&self, group: i32) -> u64 {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if last
            .as_ref()
            .is_none_or(|(at, _)| at.elapsed() >= POLL.mul_f32(0.9))
        {
            *last = Some((Instant::now(), read_all()));
        }
        last.as_ref()
            .and_then(|(_, usage)| usage.get(&group))
            .copied()
            .unwrap_or(0)
    }
}

fn read_all() -> HashMap<i32, u64> {
    let mut usage = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        if !entry
            .file_name()
            .as_encoded_bytes()
            .first()
            .is_some_and(u8::is_ascii_digit)
        {
            continue;
        }
        // A process may end between the two; then it holds nothing.
        let Ok(status) = fs::read_to_string(entry.path().join("status")) else {
            continue;
        };
        if let (Some(group), Some(kibibytes)) =
            (field(&status, "NSpgid:"), field::<u64>(&status, "VmRSS:"))
        {
            *usage.entry(group).or_default() += kibibytes * 1024;
        }
    }
    usage
}

fn field<T: std::str::FromStr>(status: &str, name: &str) -> Option<T> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_group_holds_some_megabytes() {
        let group = nix::unistd::getpgrp().as_raw();
        assert!(Memory::default().of(group) > 1 << 20);
        assert_eq!(Memory::default().of(-1), 0);
    }
}
