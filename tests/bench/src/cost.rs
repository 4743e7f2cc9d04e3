//! What running a command costs, and how to compare costs fairly on a machine that others use too.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The cost of one run.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cost {
    /// Processor time, user and system, of the whole process and of the children that it waited for.
    pub(crate) cpu: Duration,
    /// Time from start to end.
    pub(crate) wall: Duration,
    /// The most memory that was resident, in bytes. Never less than our own: a child begins as a copy of us.
    pub(crate) memory: u64,
}

/// Runs a command with its output thrown away. An exit status that is not in `good` is an error.
pub(crate) fn run(command: &mut Command, good: &[i32]) -> Result<Cost, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let begin = Instant::now();
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .map_err(|error| format!("start: {name}: {error}"))?;
    let (status, mut cost) = wait(&child).map_err(|errno| format!("wait for: {name}: {errno}"))?;
    cost.wall = begin.elapsed();
    if libc::WIFEXITED(status) && good.contains(&libc::WEXITSTATUS(status)) {
        return Ok(cost);
    }
    Err(format!("run: {name}: it ended with wait status {status:#x}"))
}

/// Waits for a child with wait4(2).
#[expect(unsafe_code, reason = "nobody wraps wait4")]
fn wait(child: &Child) -> Result<(i32, Cost), nix::errno::Errno> {
    let mut status = 0;
    // SAFETY: rusage is plain numbers, for which zero is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    let pid = child.id().cast_signed();
    loop {
        // SAFETY: both pointers lead to variables of the right type that outlive the call.
        let waited = unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut usage) };
        match nix::errno::Errno::result(waited) {
            Err(nix::errno::Errno::EINTR) => {}
            Err(errno) => return Err(errno),
            Ok(_) => break,
        }
    }
    let time = |t: libc::timeval| {
        Duration::from_secs(t.tv_sec.unsigned_abs()) + Duration::from_micros(t.tv_usec.unsigned_abs())
    };
    let cost = Cost {
        cpu: time(usage.ru_utime) + time(usage.ru_stime),
        wall: Duration::ZERO,
        memory: usage.ru_maxrss.unsigned_abs() * 1024,
    };
    Ok((status, cost))
}

/// Runs of several contestants, taken in turns.
pub(crate) struct Rounds {
    names: Vec<String>,
    /// One row for each round, one cost for each contestant.
    rows: Vec<Vec<Cost>>,
}

impl Rounds {
    /// Lets the contestants run in turns: once to warm up, then `rounds` times, so that what disturbs the machine
    /// disturbs all of them.
    pub(crate) fn play<C>(
        contestants: &mut [(String, C)],
        rounds: usize,
        mut once: impl FnMut(&mut C) -> Result<Cost, String>,
    ) -> Result<Self, String> {
        let mut row =
            || contestants.iter_mut().map(|(_, contestant)| once(contestant)).collect::<Result<Vec<_>, _>>();
        row()?;
        let rows = (0..rounds).map(|_| row()).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { names: contestants.iter().map(|(name, _)| name.clone()).collect(), rows })
    }

    /// The names of those that took part.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// How many rounds there were.
    pub(crate) fn count(&self) -> usize {
        self.rows.len()
    }

    /// The median of one figure of a contestant; none when it did not take part.
    pub(crate) fn median(&self, name: &str, figure: impl Fn(&Cost) -> f64) -> Option<f64> {
        let at = self.at(name)?;
        Some(median(self.rows.iter().map(|row| figure(&row[at])).collect()))
    }

    /// The median of the ratios of two contestants, each taken within one round; none when one did not take part.
    pub(crate) fn ratio(&self, name: &str, base: &str, figure: impl Fn(&Cost) -> f64) -> Option<f64> {
        let (at, base) = (self.at(name)?, self.at(base)?);
        Some(median(self.rows.iter().map(|row| figure(&row[at]) / figure(&row[base])).collect()))
    }

    fn at(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|known| known == name)
    }
}

/// Processor time in milliseconds.
pub(crate) fn cpu(cost: &Cost) -> f64 {
    cost.cpu.as_secs_f64() * 1000.0
}

/// Time from start to end in milliseconds.
pub(crate) fn wall(cost: &Cost) -> f64 {
    cost.wall.as_secs_f64() * 1000.0
}

/// Memory in MiB.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
pub(crate) fn memory(cost: &Cost) -> f64 {
    cost.memory as f64 / f64::from(1 << 20)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
