//! Which code has been reached, from the counters that `-C instrument-coverage` puts into a program.

/// Counters that have not moved yet.
pub(crate) struct Coverage(Vec<usize>);

impl Coverage {
    /// Begins with everything unreached. Without counters nothing is ever new.
    pub(crate) fn new() -> Self {
        Self((0..counters().len()).collect())
    }

    /// Tells whether code was reached since the last time that never was before.
    pub(crate) fn is_new(&mut self) -> bool {
        let (counters, before) = (counters(), self.0.len());
        self.0.retain(|at| counters[*at] == 0);
        self.0.len() < before
    }

    /// How many places were reached, of how many.
    pub(crate) fn reached(&self) -> (usize, usize) {
        let all = counters().len();
        (all - self.0.len(), all)
    }
}

#[cfg(not(feature = "guided"))]
fn counters() -> &'static [u64] {
    &[]
}

/// The counters of the whole program: a section that the linker gives a beginning and an end.
#[cfg(feature = "guided")]
#[expect(unsafe_code, reason = "symbols that the linker makes")]
fn counters() -> &'static [u64] {
    unsafe extern "C" {
        static __start___llvm_prf_cnts: u64;
        static __stop___llvm_prf_cnts: u64;
    }
    let (from, to) = (&raw const __start___llvm_prf_cnts, &raw const __stop___llvm_prf_cnts);
    // SAFETY: both lie around one section of 64-bit counters. They change under our eyes, but only by this thread, in
    // calls between two looks; a stale value would cost one input that is worth keeping, and nothing else.
    unsafe { std::slice::from_raw_parts(from, to.offset_from_unsigned(from)) }
}
