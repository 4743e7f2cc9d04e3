//! Chance, the same again for the same seed; and input changed by it.

use crate::claims::{Claim, piece};

/// A source of chance.
pub(crate) struct Chance(fastrand::Rng);

/// Input never grows beyond this: what lies above has tests of its own.
const LONGEST: usize = 16 << 10;

impl Chance {
    /// Begins with a seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    /// A number below a bound; 0 where the bound is 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        if bound == 0 { 0 } else { self.0.usize(..bound) }
    }

    /// One of some values.
    pub(crate) fn one_of<'a, T>(&mut self, values: &'a [T]) -> &'a T {
        &values[self.0.usize(..values.len())]
    }

    /// A range within a length, short as a rule.
    fn range(&mut self, length: usize) -> std::ops::Range<usize> {
        let from = self.below(length + 1);
        let most = if self.below(4) == 0 { length - from } else { (length - from).min(8) };
        from..from + self.below(most + 1)
    }

    /// Changes input: bits, bytes, ranges, numbers, pieces with a meaning, and parts of another input.
    pub(crate) fn change(&mut self, claim: Claim, input: &mut Vec<u8>, other: &[u8]) {
        for _ in 0..=self.below(6) {
            let range = self.range(input.len());
            match self.below(9) {
                0 => {
                    if let Some(byte) = input.get_mut(range.start) {
                        *byte ^= 1 << self.0.u8(..8);
                    }
                }
                1 => {
                    if let Some(byte) = input.get_mut(range.start) {
                        *byte = self.0.u8(..);
                    }
                }
                2 => drop(input.drain(range)),
                3 => {
                    let copy = input[range].to_vec();
                    let at = self.below(input.len() + 1);
                    input.splice(at..at, copy);
                }
                4 => {
                    let part = other[self.range(other.len())].to_vec();
                    input.splice(range, part);
                }
                5 => {
                    let digits = |byte: &u8| byte.is_ascii_digit();
                    let from = input[range.start..]
                        .iter()
                        .position(digits)
                        .map_or(range.start, |at| range.start + at);
                    let length = input[from..].iter().take_while(|byte| digits(byte)).count();
                    let number = self.0.u64(..) >> self.0.u32(..64);
                    input.splice(from..from + length, number.to_string().into_bytes());
                }
                6 => input.truncate(range.end),
                _ => {
                    let at = range.start..if self.below(2) == 0 { range.start } else { range.end };
                    input.splice(at, piece(claim, self));
                }
            }
            input.truncate(LONGEST);
        }
    }
}
