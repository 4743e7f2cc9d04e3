//! Text of processes, which need not be UTF-8; and durations, sizes and times, as people and records write them.

use std::fmt::{self, Write as _};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::de::{self, Deserialize, Deserializer};
use serde::ser::{Serialize, SerializeMap, Serializer};

/// Bytes that are UTF-8 as a rule, but that nobody promised to be: a command line, a file name, a name.
///
/// In a record they are a JSON string, and `{"bytes":"<base64>"}` where they are not UTF-8: nothing is lost.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Text(Box<[u8]>);

impl Text {
    /// The bytes as the kernel gave them.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Tells whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<&[u8]> for Text {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().into())
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&visible(&self.0))
    }
}

/// Borrowed bytes that serialize as [`Text`] does.
#[derive(Clone, Copy)]
pub struct Bytes<'a>(pub &'a [u8]);

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Ok(text) = std::str::from_utf8(self.0) {
            return serializer.serialize_str(text);
        }
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry("bytes", &BASE64.encode(self.0))?;
        map.end()
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Bytes(&self.0).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        #[serde(untagged)]
        enum Form {
            Plain(String),
            Encoded { bytes: String },
        }
        match Form::deserialize(deserializer)? {
            Form::Plain(text) => Ok(Self(text.into_bytes().into())),
            Form::Encoded { bytes } => {
                BASE64.decode(bytes).map(|bytes| Self(bytes.into())).map_err(de::Error::custom)
            }
        }
    }
}

/// An argument vector as the kernel keeps it: each argument ends with a NUL byte.
///
/// A program that rewrote its title may have left out the last NUL, or padded with many: what is there is kept.
pub fn arguments(cmdline: &[u8]) -> impl Iterator<Item = &[u8]> {
    let body = cmdline.strip_suffix(&[0]).unwrap_or(cmdline);
    let empty = cmdline.is_empty();
    body.split(|byte| *byte == 0).filter(move |_| !empty)
}

/// A command line as a person would type it: arguments separated by spaces, padding left out.
pub fn joined(cmdline: &[u8]) -> Vec<u8> {
    let end = cmdline.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    cmdline[..end].iter().map(|byte| if *byte == 0 { b' ' } else { *byte }).collect()
}

/// Makes text safe for a terminal: control characters and bytes that are not UTF-8 become visible escapes.
///
/// Controls are those of C0, DEL and C1, the separators of lines and paragraphs, and the marks that change the direction
/// of writing, which can make a name look like another one.
pub fn visible(bytes: &[u8]) -> String {
    let mut shown = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for letter in chunk.valid().chars() {
            let steers = matches!(
                letter,
                '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            );
            match letter {
                '\n' => shown.push_str("\\n"),
                '\t' => shown.push_str("\\t"),
                '\x1b' => shown.push_str("\\e"),
                _ if steers || letter.is_control() => {
                    let _ = write!(shown, "\\u{{{:x}}}", u32::from(letter));
                }
                _ => shown.push(letter),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(shown, "\\x{byte:02x}");
        }
    }
    shown
}

/// Reads a duration as people write it: `3s`, `500ms`, `2m`, `1m 30s`; a bare number is seconds.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    if let Some(duration) = seconds(text) {
        return Ok(duration);
    }
    humantime::parse_duration(text).map_err(|_| format!("'{text}' is not a duration such as 3s, 500ms or 2m"))
}

/// Reads a number of seconds, with a part of one behind a dot. By hand: the parser of floating-point numbers is larger than
/// some tools here.
fn seconds(text: &str) -> Option<Duration> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(part) {
        return None;
    }
    let part = format!("{part:0<9}");
    Some(Duration::new(whole.parse().ok()?, part.get(..9)?.parse().ok()?))
}

/// Writes a duration as people read it: two units at most (`3s`, `2m 5s`, `4h 10m`, `12d 3h`).
pub fn short_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let parts = |large: u64, small: u64, names: (&str, &str)| match small {
        0 => format!("{large}{}", names.0),
        _ => format!("{large}{} {small}{}", names.0, names.1),
    };
    match seconds {
        0 => format!("{}ms", duration.as_millis()),
        1..60 => format!("{seconds}s"),
        60..3600 => parts(seconds / 60, seconds % 60, ("m", "s")),
        3600..86_400 => parts(seconds / 3600, seconds % 3600 / 60, ("h", "m")),
        _ => parts(seconds / 86_400, seconds % 86_400 / 3600, ("d", "h")),
    }
}

/// Writes a size as people read it, in powers of 1024 (`512 B`, `3.8 GiB`).
pub fn short_size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let power = bytes.ilog2() / 10;
    let unit = 1_u128 << (10 * power);
    let tenths = (u128::from(bytes) * 10 + unit / 2) / unit;
    let name = UNITS[power as usize - 1];
    if tenths < 100 {
        return format!("{}.{} {name}", tenths / 10, tenths % 10);
    }
    format!("{} {name}", (u128::from(bytes) + unit / 2) / unit)
}

/// Writes a wall-clock time (milliseconds since the epoch) as RFC 3339 in UTC.
pub fn rfc3339(unix_ms: u64) -> impl fmt::Display {
    humantime::format_rfc3339_millis(
        SystemTime::UNIX_EPOCH + Duration::from_millis(unix_ms.min(253_402_300_799_000)),
    )
}

/// Reads a time that [`rfc3339`] wrote, as milliseconds since the epoch.
pub fn parse_rfc3339(text: &str) -> Option<u64> {
    let since = humantime::parse_rfc3339_weak(text).ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    u64::try_from(since.as_millis()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_is_not_utf8_comes_back_unchanged() {
        for bytes in [&b"plain"[..], b"caf\xc3\xa9", b"\xff\x00\xfe", b"", b"a\nb\x1b[31m"] {
            let json = serde_json::to_string(&Text::from(bytes)).expect("json");
            assert!(!json.contains('\x1b') && !json.contains('\n'));
            let back: Text = serde_json::from_str(&json).expect("text");
            assert_eq!(back.bytes(), bytes);
        }
    }

    #[test]
    fn arguments_keep_empty_ones() {
        let split = |bytes| arguments(bytes).map(visible).collect::<Vec<_>>();
        assert_eq!(split(b"a\0\0b\0"), ["a", "", "b"]);
        assert_eq!(split(b"title without end"), ["title without end"]);
        assert_eq!(split(b"\0"), [""]);
        assert!(split(b"").is_empty());
    }

    #[test]
    fn a_padded_title_is_joined_without_its_padding() {
        assert_eq!(joined(b"npm run dev\0\0\0\0"), b"npm run dev");
        assert_eq!(joined(b"a\0\0b\0"), b"a  b");
    }

    #[test]
    fn nothing_that_moves_a_cursor_reaches_a_terminal() {
        let shown = visible(b"a\x1b[2J\n\x7f\xc2\x9b\xff\xe2\x80\xaeb");
        assert_eq!(shown, "a\\e[2J\\n\\u{7f}\\u{9b}\\xff\\u{202e}b");
    }

    #[test]
    fn durations_are_read_as_people_write_them() {
        assert_eq!(parse_duration("3s"), Ok(Duration::from_secs(3)));
        assert_eq!(parse_duration("0.5"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("1m 30s"), Ok(Duration::from_secs(90)));
        for text in ["", "-1", "nan", "inf", "3 parsecs", "s"] {
            assert!(parse_duration(text).is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn sizes_and_ages_are_short() {
        assert_eq!((short_size(512), short_size(4_080_218_931)), ("512 B".into(), "3.8 GiB".into()));
        assert_eq!(short_size(u64::MAX), "16 EiB");
        assert_eq!(short_duration(Duration::from_secs(125)), "2m 5s");
        assert_eq!(short_duration(Duration::from_hours(2)), "2h");
    }

    #[test]
    fn a_time_is_written_in_utc() {
        assert_eq!(rfc3339(1_700_000_000_123).to_string(), "2023-11-14T22:13:20.123Z");
        assert_eq!(parse_rfc3339("2023-11-14T22:13:20.123Z"), Some(1_700_000_000_123));
        assert_eq!(parse_rfc3339("yesterday"), None);
    }
}
