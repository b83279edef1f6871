//! Memory of a process, as the operating system tells it.

use std::fs;

use anyhow::Context as _;

/// Resident memory, in MiB.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Memory {
    /// Now.
    pub(super) resident: f64,
    /// The most, since it was last forgotten.
    pub(super) peak: f64,
}

/// Of the process with this id.
pub(super) fn of(process_id: u32) -> anyhow::Result<Memory> {
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

fn mebibytes(status: &str, name: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u32 = line.split_whitespace().next()?.parse().ok()?;
    Some(f64::from(kibibytes) / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read() {
        let status = "Name:\troster\nVmHWM:\t   40960 kB\nVmRSS:\t   20480 kB\n";
        assert_eq!(mebibytes(status, "VmRSS:"), Some(20.0));
        assert_eq!(mebibytes(status, "VmHWM:"), Some(40.0));
        assert_eq!(mebibytes(status, "VmSwap:"), None);
    }
}
