//! Memory and processor time of a process, as the operating system tells them.

use std::{fs, time::Duration};

use anyhow::Context as _;

/// Resident memory, in MiB.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Memory {
    /// Now.
    pub(super) resident: f64,
    /// The most, since it was last forgotten.
    pub(super) peak: f64,
}

/// Memory of the process with this id.
pub(super) fn memory(process_id: u32) -> anyhow::Result<Memory> {
    let path = format!("/proc/{process_id}/status");
    let status = fs::read_to_string(&path)
        .with_context(|| format!("`{path}`, where Linux tells of memory, cannot be read"))?;
    let read =
        |name| mebibytes(&status, name).with_context(|| format!("`{path}` does not tell `{name}`"));
    Ok(Memory { resident: read("VmRSS:")?, peak: read("VmHWM:")? })
}

/// Begins anew to look for the most.
pub(super) fn forget_peak(process_id: u32) -> anyhow::Result<()> {
    // proc(5): "To reset the peak resident set size […] to the process's current resident set
    // size value", 5 is written.
    fs::write(format!("/proc/{process_id}/clear_refs"), "5").context("the peak is not forgotten")
}

/// Processor time that the process with this id has used so far, in hundredths of a second.
pub(super) fn processor_time(process_id: u32) -> anyhow::Result<Duration> {
    let path = format!("/proc/{process_id}/stat");
    let stat = fs::read_to_string(&path).with_context(|| format!("`{path}` cannot be read"))?;
    ticks(&stat)
        .map(|ticks| Duration::from_millis(10 * ticks))
        .with_context(|| format!("`{path}` does not tell of time"))
}

/// User and system time of `/proc/…/stat`. It counts hundredths of a second on every Linux.
fn ticks(stat: &str) -> Option<u64> {
    // The name of the program, in brackets, may hold anything.
    let (_, after_name) = stat.rsplit_once(") ")?;
    let mut fields = after_name.split(' ').skip(11).map(|field| field.parse::<u64>().ok());
    Some(fields.next()?? + fields.next()??)
}

fn mebibytes(status: &str, name: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u32 = line.split_whitespace().next()?.parse().ok()?;
    Some(f64::from(kibibytes) / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_read() {
        let stat = "77 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 110 12 0 0 20 0 5 0 100\n";
        assert_eq!(ticks(stat), Some(122));
        assert_eq!(ticks("77 (a) S 1"), None);
    }

    #[test]
    fn memory_is_read() {
        let status = "Name:\troster\nVmHWM:\t   40960 kB\nVmRSS:\t   20480 kB\n";
        assert_eq!(mebibytes(status, "VmRSS:"), Some(20.0));
        assert_eq!(mebibytes(status, "VmHWM:"), Some(40.0));
        assert_eq!(mebibytes(status, "VmSwap:"), None);
    }
}
