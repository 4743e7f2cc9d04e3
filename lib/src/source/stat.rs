//! The line of `/proc/PID/stat` (proc_pid_stat(5)).

use std::ops::Range;

use memchr::{memchr, memrchr};

/// The fields of a stat line that the suite uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stat {
    /// State letter, field 3.
    pub state: u8,
    /// Parent, field 4; 0 where it is outside of the pid namespace.
    pub ppid: u32,
    /// Process group, field 5.
    pub pgid: u32,
    /// Session, field 6.
    pub sid: u32,
    /// Controlling terminal, field 7.
    pub tty: u32,
    /// Kernel flags, field 9.
    pub flags: u32,
    /// Page faults of the children that it has waited for, field 11: a parent that reaps makes it grow.
    pub reaped: u64,
    /// User and system time in ticks, fields 14 and 15.
    pub cpu_ticks: u64,
    /// Number of threads, field 20.
    pub threads: u32,
    /// Start in ticks after boot, field 22.
    pub start_ticks: u64,
    /// Resident pages, field 24.
    pub rss_pages: u64,
    /// The first 31 signals that the main thread blocks, field 32: bit 0 is signal 1.
    pub blocked: u32,
    /// Those that the process catches, field 34.
    pub caught: u32,
    /// The processor that the main thread ran on last, field 39.
    pub processor: u32,
    /// Where the environment lies in memory, fields 50 and 51; zeros where that may not be seen.
    ///
    /// A fork keeps it and an exec moves it, so a child with the range of its parent has its environment too.
    pub environment: (u64, u64),
    name: (usize, usize),
}

impl Stat {
    /// The name within the line that was parsed: any bytes, without the parentheses.
    pub fn comm<'a>(&self, line: &'a [u8]) -> &'a [u8] {
        let Range { start, end } = self.name.0..self.name.1;
        line.get(start..end).unwrap_or_default()
    }

    /// Tells whether it is a thread of the kernel (`PF_KTHREAD` of linux/sched.h).
    pub fn kernel_thread(&self) -> bool {
        self.flags & 0x0020_0000 != 0
    }
}

/// Parses a stat line. The name may hold parentheses, spaces and line ends, so fields are counted from the last `)`.
pub fn parse(line: &[u8]) -> Option<Stat> {
    let open = memchr(b'(', line)?;
    let close = memrchr(b')', line).filter(|close| *close > open)?;
    let mut fields = Fields(&line[close + 1..]);
    let mut stat = Stat { name: (open + 1, close), ..Stat::default() };
    stat.state = fields.letter()?;
    stat.ppid = fields.number()?;
    stat.pgid = fields.number()?;
    stat.sid = fields.number()?;
    stat.tty = fields.device()?;
    stat.flags = fields.skip(1)?.number()?;
    stat.reaped = fields.skip(1)?.number()?;
    stat.cpu_ticks = fields.skip(2)?.number::<u64>()?.saturating_add(fields.number()?);
    stat.threads = fields.skip(4)?.number()?;
    stat.start_ticks = fields.skip(1)?.number()?;
    stat.rss_pages = fields.skip(1)?.number()?;
    // The last ones came with Linux 3.5; nothing depends on any of these being there.
    let mut late = || {
        stat.blocked = fields.skip(7)?.number()?;
        stat.caught = fields.skip(1)?.number()?;
        stat.processor = fields.skip(4)?.number()?;
        stat.environment = fields.skip(10)?.number().zip(fields.number())?;
        Some(())
    };
    late();
    Some(stat)
}

/// What is left of a stat line: fields with one space before each.
///
/// With thousands of processes this is what a reader spends most on, beside the system calls.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    /// Passes over some fields.
    fn skip(&mut self, count: usize) -> Option<&mut Self> {
        let (line, mut left) = (self.0, count);
        // Fields are a byte or two long, which is less than a search for their end takes to begin.
        for (at, byte) in line.iter().enumerate() {
            if *byte == b' ' {
                if left == 0 {
                    self.0 = &line[at..];
                    return Some(self);
                }
                left -= 1;
            }
        }
        None
    }

    /// Takes a field of one letter.
    fn letter(&mut self) -> Option<u8> {
        let [b' ', letter, rest @ ..] = self.0 else { return None };
        self.0 = rest;
        Some(*letter)
    }

    /// Takes a number. A negative one is 0: a group or session outside of the pid namespace can be shown as -1.
    fn number<T: TryFrom<u64> + Default>(&mut self) -> Option<T> {
        let (negative, value) = self.digits()?;
        if negative { Some(T::default()) } else { T::try_from(value).ok() }
    }

    /// Takes a device number, which the kernel writes as a signed one: high minor numbers set the top bit.
    fn device(&mut self) -> Option<u32> {
        let (negative, value) = self.digits()?;
        let value = u32::try_from(value).ok()?;
        Some(if negative { value.wrapping_neg() } else { value })
    }

    /// Takes a number as its sign and its size.
    fn digits(&mut self) -> Option<(bool, u64)> {
        let field = self.0.strip_prefix(b" ")?;
        let negative = field.first() == Some(&b'-');
        let digits = &field[usize::from(negative)..];
        let (mut value, mut length) = (0_u64, 0);
        for byte in digits {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                break;
            }
            value = value.checked_mul(10)?.checked_add(u64::from(digit))?;
            length += 1;
        }
        self.0 = &digits[length..];
        let ends = self.0.first().is_none_or(u8::is_ascii_whitespace);
        (length > 0 && ends).then_some((negative, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAIL: &str =
        "S 1 70 60 34819 70 4194304 20838 0 0 0 11 22 3 4 20 0 7 0 9000 12345 678 18446744073709551615 0";

    #[test]
    fn the_fields_are_those_of_the_manual() {
        let line = format!("77 (node) {TAIL}");
        let stat = parse(line.as_bytes()).expect("a stat line");
        assert_eq!(stat.comm(line.as_bytes()), b"node");
        assert_eq!((stat.state, stat.ppid, stat.pgid, stat.sid, stat.tty), (b'S', 1, 70, 60, 34_819));
        assert_eq!((stat.cpu_ticks, stat.threads, stat.start_ticks, stat.rss_pages), (33, 7, 9000, 678));
        assert!(!stat.kernel_thread());
        assert_eq!((stat.reaped, stat.blocked, stat.environment), (0, 0, (0, 0)));
    }

    #[test]
    fn the_late_fields_are_those_of_the_manual() {
        let late =
            " 25 26 27 28 29 30 31 16384 33 65536 35 36 37 38 5 40 41 42 43 44 45 46 47 48 49 5000 6000 52";
        let line = format!("77 (node) {}{late}\n", TAIL.trim_end_matches(" 18446744073709551615 0"));
        let stat = parse(line.as_bytes()).expect("a stat line");
        assert_eq!((stat.blocked, stat.caught, stat.processor), (16384, 65536, 5));
        assert_eq!(stat.environment, (5000, 6000));
    }

    #[test]
    fn a_name_may_hold_anything() {
        for name in [&b"a) R 5 5 5"[..], b"((", b")", b"", b"x\ny\x1b[m\xff", b" "] {
            let line = [b"77 (", name, b") ", TAIL.as_bytes(), b"\n"].concat();
            let stat = parse(&line).expect("a stat line");
            assert_eq!(stat.comm(&line), name);
            assert_eq!(stat.start_ticks, 9000);
        }
    }

    #[test]
    fn a_line_cut_off_anywhere_is_no_stat_line_and_no_panic() {
        let line = format!("77 (node) {TAIL}");
        let last_needed = line.find(" 678").expect("the last field in use");
        for end in 0..=last_needed {
            assert_eq!(parse(&line.as_bytes()[..end]), None, "{:?}", &line[..end]);
        }
        for text in ["", "(", ")(", "77 (a) S -", "77 (a) S 99999999999999999999999 1"] {
            assert_eq!(parse(text.as_bytes()), None);
        }
    }
}
