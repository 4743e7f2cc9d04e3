//! The hunt for input that breaks a claim.

use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::chance::Chance;
use crate::claims::Claim;
use crate::coverage::Coverage;
use crate::meter;

/// No input of the hunt may take longer than this, on however busy a machine.
const LONGEST: Duration = Duration::from_secs(20);

/// Input that is worth changing, for one claim.
struct Pool {
    claim: Claim,
    inputs: Vec<Vec<u8>>,
}

/// A hunt: chance, what grows, and what has been reached.
pub(crate) struct Hunt {
    chance: Chance,
    pools: Vec<Pool>,
    coverage: Coverage,
}

impl Hunt {
    /// Begins with the seeds that are kept with the source.
    pub(crate) fn new(seed: u64) -> Result<Self, String> {
        let mut pools: Vec<Pool> = Vec::new();
        for claim in Claim::ALL {
            if pools.iter().all(|pool| pool.claim != claim) {
                pools.push(Pool { claim, inputs: seeds(claim)? });
            }
        }
        Ok(Self { chance: Chance::new(seed), pools, coverage: Coverage::new() })
    }

    /// Hunts for as long as was asked, and tells how far it came. An error tells what broke a claim.
    ///
    /// Panics are expected here, so they are not told one by one.
    pub(crate) fn run(self, time: Duration, only: Option<Claim>) -> Result<String, String> {
        panic::set_hook(Box::new(|_| {}));
        let found = self.hunt(time, only);
        drop(panic::take_hook());
        found
    }

    fn hunt(mut self, time: Duration, only: Option<Claim>) -> Result<String, String> {
        let watch = Watch::begin();
        for pool in &self.pools {
            for input in &pool.inputs {
                watch.on(pool.claim, input);
                hold(pool.claim, input)?;
            }
        }
        self.coverage.is_new();
        let (begin, mut tries) = (Instant::now(), 0_u64);
        let mut input = Vec::new();
        while begin.elapsed() < time {
            let claim = only.unwrap_or_else(|| *self.chance.one_of(&Claim::ALL));
            let Some(pool) = self.pools.iter_mut().find(|pool| pool.claim == claim) else { continue };
            input.clone_from(self.chance.one_of(&pool.inputs));
            let other = self.chance.one_of(&pool.inputs).clone();
            self.chance.change(claim, &mut input, &other);
            watch.on(claim, &input);
            if hold(claim, &input).is_err() {
                return Err(report(claim, input));
            }
            tries += 1;
            if self.coverage.is_new() {
                pool.inputs.push(input.clone());
            }
        }
        let (reached, all) = self.coverage.reached();
        let kept: usize = self.pools.iter().map(|pool| pool.inputs.len()).sum();
        let guided =
            if all == 0 { "not guided".to_owned() } else { format!("{reached} of {all} places reached") };
        Ok(format!(
            "fuzz: {tries} inputs in {} s, none breaks a claim; {kept} kept; {guided}",
            time.as_secs()
        ))
    }
}

/// Holds a reader to its claim for one input: no panic, and memory in proportion to the input.
pub(crate) fn hold(claim: Claim, input: &[u8]) -> Result<(), String> {
    let (done, memory) = meter::peak(|| panic::catch_unwind(AssertUnwindSafe(|| claim.check(input))));
    done.map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
    })?;
    // The claims themselves keep several copies, as trees of JSON values, in which a byte can cost a hundred.
    let most = (256 << 10) + input.len() * 400;
    if memory > most { Err(format!("{memory} bytes of memory for {} of input", input.len())) } else { Ok(()) }
}

/// Makes a failing input smaller, saves it, and tells how to try it again.
fn report(claim: Claim, mut input: Vec<u8>) -> String {
    let mut step = input.len() / 2;
    while step > 0 {
        let mut at = 0;
        while at < input.len() {
            let end = (at + step).min(input.len());
            let smaller = [&input[..at], &input[end..]].concat();
            if hold(claim, &smaller).is_err() { input = smaller } else { at += step }
        }
        step /= 2;
    }
    let why = hold(claim, &input).err().unwrap_or_default();
    format!("{}: {why}\n{}", claim.name(), save(claim, &input))
}

/// Saves an input, and tells the command that tries it again.
fn save(claim: Claim, input: &[u8]) -> String {
    let path = std::env::temp_dir().join(format!("procherd-fuzz-{}-{}", claim.name(), std::process::id()));
    match std::fs::write(&path, input) {
        Ok(()) => {
            format!("try it again: cargo run -p procherd-fuzz -- --try {} {}", claim.name(), path.display())
        }
        Err(error) => {
            format!("write: {}: {error}: the input was {:?}", path.display(), String::from_utf8_lossy(input))
        }
    }
}

/// The seeds of a claim: one input a file.
fn seeds(claim: Claim) -> Result<Vec<Vec<u8>>, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(claim.name());
    let failed = |error: std::io::Error| format!("read: {}: {error}", folder.display());
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&folder)
        .map_err(failed)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()
        .map_err(failed)?;
    paths.sort();
    let seeds = paths.iter().map(std::fs::read).collect::<Result<Vec<_>, _>>().map_err(failed)?;
    if seeds.is_empty() { Err(format!("read: {}: no seed in it", folder.display())) } else { Ok(seeds) }
}

/// Ends the program when one input takes too long; it could not be stopped otherwise.
struct Watch(Arc<Mutex<(Instant, Claim, Vec<u8>)>>);

impl Watch {
    fn begin() -> Self {
        let shared = Arc::new(Mutex::new((Instant::now(), Claim::Stat, Vec::new())));
        let weak = Arc::downgrade(&shared);
        std::thread::spawn(move || {
            while let Some(shared) = weak.upgrade() {
                if let Ok(now) = shared.lock()
                    && now.0.elapsed() > LONGEST
                {
                    let (claim, input) = (now.1, &now.2);
                    crate::tell(
                        &format!("fuzz: {}: it does not end\n{}", claim.name(), save(claim, input)),
                        3.into(),
                    );
                    std::process::abort();
                }
                drop(shared);
                std::thread::sleep(Duration::from_secs(1));
            }
        });
        Self(shared)
    }

    fn on(&self, claim: Claim, input: &[u8]) {
        if let Ok(mut now) = self.0.lock() {
            (now.0, now.1) = (Instant::now(), claim);
            now.2.clear();
            now.2.extend_from_slice(input);
        }
    }
}
