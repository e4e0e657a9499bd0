//! What this process takes of the machine, under the names that every Prometheus client gives it.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus::proto::MetricType::{COUNTER, GAUGE};
use rustix::process::Resource;
use rustix::time::ClockId;

use super::sampled::{Figure, Sampled};

const FIGURES: &[Figure] = &[
    ("process_cpu_seconds_total", "Processor time used, user and system.", COUNTER),
    ("process_open_fds", "Open file descriptors.", GAUGE),
    ("process_max_fds", "File descriptors that may be open.", GAUGE),
    ("process_resident_memory_bytes", "Memory in use.", GAUGE),
    ("process_start_time_seconds", "When the process started, in seconds since 1970.", GAUGE),
];

pub(super) fn process() -> Sampled {
    let started = SystemTime::now().duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs_f64());
    Sampled::new(FIGURES, move || vec![Some(processor_seconds()), open_files(), most_files(), resident_bytes(), started])
}

fn processor_seconds() -> f64 {
    let used = rustix::time::clock_gettime(ClockId::ProcessCPUTime);
    as_figure(u64::try_from(used.tv_sec).unwrap_or_default()) + as_figure(u64::try_from(used.tv_nsec).unwrap_or_default()) / 1e9
}

fn open_files() -> Option<f64> {
    // The folder itself is one of them while it is read.
    fs::read_dir("/proc/self/fd").ok().map(|files| as_figure(files.count().saturating_sub(1) as u64))
}

fn most_files() -> Option<f64> {
    rustix::process::getrlimit(Resource::Nofile).current.map(as_figure)
}

fn resident_bytes() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(as_figure(kibibytes * 1024))
}

#[expect(clippy::cast_precision_loss, reason = "exact below 2^53, and a figure to look at beyond")]
pub(super) fn as_figure(number: u64) -> f64 {
    number as f64
}

#[cfg(all(test, target_os = "linux"))]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_something_of_each() {
        assert!(processor_seconds() > 0.0);
        let before = open_files().unwrap();
        let held: Vec<_> = (0..100).map(|_| fs::File::open("/dev/null").unwrap()).collect();
        // Other tests open and close files meanwhile, but not as many.
        assert!(open_files().unwrap() > before + 50.0, "{before} and {} more", held.len());
        assert!(most_files().unwrap() >= open_files().unwrap());
        assert!(resident_bytes().unwrap() > 1e6, "{:?}", resident_bytes());
    }
}
