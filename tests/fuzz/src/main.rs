//! `fuzz`: throws hostile input at everything that reads what others wrote, and holds it to its claims.
//!
//! Input grows from small seeds (`seeds/`) by mutation that knows the structure of records and stat lines. Built with
//! `RUSTFLAGS="-C instrument-coverage"` and the feature `guided`, input that reaches new code is kept and changed
//! further, as cargo-fuzz does, but on stable Rust. The same seed gives the same input.
//!
//! An input that breaks a claim is made smaller, saved, and named together with the command that tries it again.

mod chance;
mod claims;
mod coverage;
mod hunt;
mod meter;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use claims::Claim;
use hunt::Hunt;

#[global_allocator]
static METER: meter::Meter = meter::Meter;

fn main() -> ExitCode {
    match run(std::env::args().skip(1)) {
        Ok(told) => tell(&told, ExitCode::SUCCESS),
        Err(why) => tell(&format!("fuzz: {why}"), ExitCode::from(3)),
    }
}

/// Reads `[--seconds N] [--seed N] [--only CLAIM]`, or `--try CLAIM FILE`, and does so.
fn run(mut words: impl Iterator<Item = String>) -> Result<String, String> {
    let (mut seconds, mut seed, mut only) = (600, 1, None);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("read options: {word}: it needs a value"));
        let number = |text: String| text.parse().map_err(|_| format!("read options: {text}: not a number"));
        match word.as_str() {
            "--seconds" => seconds = number(value()?)?,
            "--seed" => seed = number(value()?)?,
            "--only" => only = Some(Claim::named(&value()?)?),
            "--try" => {
                let (claim, path) = (Claim::named(&value()?)?, PathBuf::from(value()?));
                let input =
                    std::fs::read(&path).map_err(|error| format!("read: {}: {error}", path.display()))?;
                return hunt::hold(claim, &input).map(|()| "it holds".to_owned());
            }
            _ => return Err(format!("read options: {word}: unknown")),
        }
    }
    Hunt::new(seed)?.run(Duration::from_secs(seconds), only)
}

fn tell(text: &str, code: ExitCode) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "{text}");
    code
}

#[cfg(test)]
#[allow(clippy::expect_used, clippy::panic, reason = "a test fails by a panic")]
mod tests {
    use super::*;

    #[test]
    fn a_short_hunt_finds_nothing() {
        let seconds = Duration::from_secs(12);
        if let Err(why) = Hunt::new(1).and_then(|hunt| hunt.run(seconds, None)) {
            panic!("{why}");
        }
    }

    #[test]
    fn a_line_full_of_fields_or_brackets_takes_no_longer_than_its_length() {
        let fields = (0..400_000).map(|n| format!("\"{n}\":{n}")).collect::<Vec<_>>().join(",");
        let deep = format!("{{\"a\":{}", "[".repeat(4_000_000));
        let strings = format!("{{\"a\":[{}\"\"]}}", "\"\\u0000\",".repeat(400_000));
        for line in [format!("{{{fields}}}"), deep, strings] {
            let begin = std::time::Instant::now();
            hunt::hold(Claim::Stream, line.as_bytes()).expect("the claims hold");
            assert!(
                begin.elapsed() < Duration::from_secs(10),
                "{} bytes took {:?}",
                line.len(),
                begin.elapsed()
            );
        }
    }
}
