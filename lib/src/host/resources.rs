//! What the whole machine has, and how busy it is. The sysinfo crate is named here alone.

use crate::error::{Error, Result};

/// Memory, processors and load of this machine at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Resources {
    /// All memory, in bytes; of the container, where its control group has a lower limit.
    pub memory_bytes: u64,
    /// How much of it programs could still get without swapping, in bytes.
    pub available_bytes: u64,
    /// Processors that this process may use.
    pub cores: usize,
    /// Processes that ran or waited for a disk, on average over 1, 5 and 15 minutes (`proc_loadavg(5)`).
    pub load: [f64; 3],
}

impl Resources {
    /// Looks at this machine. Costs a few reads of `/proc` and of the control group, none of them per process.
    pub fn look() -> Result<Self> {
        let failed = |what, error: &dyn std::error::Error| {
            Error::new(crate::error::Kind::Unsupported, "look at this machine", what, error)
        };
        let mut system = sysinfo::System::new().map_err(|error| failed("memory", &error))?;
        system.refresh_memory();
        let load = sysinfo::System::load_average().map_err(|error| failed("load", &error))?;
        let (mut memory, mut available) = (system.total_memory(), system.available_memory());
        if let Some(limits) = system.cgroup_limits().filter(|limits| limits.total_memory < memory) {
            memory = limits.total_memory;
            available = available.min(limits.free_memory);
        }
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Ok(Self {
            memory_bytes: memory,
            available_bytes: available,
            cores,
            load: [load.one, load.five, load.fifteen],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_no_more_than_there_is() {
        let resources = Resources::look().expect("a machine");
        assert!(resources.memory_bytes > 0 && resources.available_bytes <= resources.memory_bytes);
        assert!(resources.cores > 0 && resources.load.iter().all(|load| *load >= 0.0));
    }
}
