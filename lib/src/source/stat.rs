//! The line of `/proc/PID/stat` (proc_pid_stat(5)).

use std::ops::Range;

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
    /// User and system time in ticks, fields 14 and 15.
    pub cpu_ticks: u64,
    /// Number of threads, field 20.
    pub threads: u32,
    /// Start in ticks after boot, field 22.
    pub start_ticks: u64,
    /// Resident pages, field 24.
    pub rss_pages: u64,
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
    let open = line.iter().position(|byte| *byte == b'(')?;
    let close = line.iter().rposition(|byte| *byte == b')').filter(|close| *close > open)?;
    let mut fields = line[close + 1..].split(u8::is_ascii_whitespace).filter(|field| !field.is_empty());
    let mut stat = Stat { name: (open + 1, close), ..Stat::default() };
    stat.state = *fields.next()?.first()?;
    stat.ppid = number(fields.next()?)?;
    stat.pgid = number(fields.next()?)?;
    stat.sid = number(fields.next()?)?;
    // A signed number in the file: terminals with a high minor number have the top bit set.
    stat.tty = u32::try_from(signed(fields.next()?)? & 0xffff_ffff).ok()?;
    stat.flags = number(fields.nth(1)?)?;
    stat.cpu_ticks = number::<u64>(fields.nth(4)?)?.saturating_add(number(fields.next()?)?);
    stat.threads = u32::try_from(signed(fields.nth(4)?)?.max(0)).ok()?;
    stat.start_ticks = number(fields.nth(1)?)?;
    stat.rss_pages = u64::try_from(signed(fields.nth(1)?)?.max(0)).ok()?;
    // Linux 3.5 and later; nothing depends on them being there.
    let mut late = fields.skip(25).map(|field| number(field).unwrap_or(0));
    stat.environment = (late.next().unwrap_or(0), late.next().unwrap_or(0));
    Some(stat)
}

fn number<T: TryFrom<u64> + Default>(field: &[u8]) -> Option<T> {
    // A group or session outside of the pid namespace can be shown as -1.
    if field.first() == Some(&b'-') {
        return Some(T::default());
    }
    if field.is_empty() {
        return None;
    }
    let mut value = 0_u64;
    for byte in field {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    T::try_from(value).ok()
}

fn signed(field: &[u8]) -> Option<i64> {
    match field.strip_prefix(b"-") {
        Some(digits) => number::<u64>(digits).and_then(|value| i64::try_from(value).ok()).map(|value| -value),
        None => number::<u64>(field).and_then(|value| i64::try_from(value).ok()),
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
