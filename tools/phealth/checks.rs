//! Checks as they are typed.

use std::path::PathBuf;
use std::time::Duration;

use procherd::error::{Error, Kind, Result};
use procherd::health::Checks;

use crate::frame;

/// Options for what must hold, beside what the entries note.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Checks")]
pub(super) struct CheckArgs {
    /// It accepts connections on this TCP port; repeatable
    #[arg(long, value_name = "N")]
    port: Vec<u16>,

    /// It listens on this Unix socket
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,

    /// To who connects it says something with this text in it
    #[arg(long, value_name = "TEXT")]
    banner: Option<String>,

    /// This health file, JSON with its number, names it
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,

    /// The field of the health file that has its number, such as server.pid
    #[arg(long, value_name = "NAME", default_value = "pid")]
    pid_field: String,

    /// The health file has this field with this value; repeatable
    #[arg(long, value_name = "NAME=VALUE")]
    field: Vec<String>,

    /// The health file is not older than this
    #[arg(long, value_name = "DURATION", value_parser = frame::duration)]
    file_age: Option<Duration>,

    /// Its last sign of life is not older than this
    #[arg(long, value_name = "DURATION", value_parser = frame::duration)]
    max_age: Option<Duration>,

    /// This line of shell succeeds; it finds $SERVICE_PID and $PORT in its environment
    #[arg(long, value_name = "LINE")]
    command: Option<String>,

    /// How long each check may take [default: 5s]
    #[arg(long, value_name = "DURATION", value_parser = frame::duration)]
    within: Option<Duration>,
}

impl CheckArgs {
    /// Turns what was typed into what it means.
    pub(super) fn read(&self) -> Result<Checks> {
        let mut checks = Checks { max_age: self.max_age, within: self.within, ..Checks::default() };
        checks.file_age = self.file_age;
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.to_string_lossy().into_owned());
        let mut texts: Vec<(&str, String)> = Vec::new();
        texts.extend(self.port.iter().map(|port| ("port", port.to_string())));
        texts.extend(path(&self.socket).map(|path| ("socket", path)));
        texts.extend(self.banner.iter().map(|text| ("banner", text.clone())));
        texts.extend(path(&self.file).map(|path| ("file", path)));
        texts.extend((self.pid_field != "pid").then(|| ("pid-field", self.pid_field.clone())));
        texts.extend(self.field.iter().map(|pair| ("field", pair.clone())));
        texts.extend(self.command.iter().map(|line| ("command", line.clone())));
        for (word, value) in texts {
            checks.add(&format!("{word}:{value}")).map_err(|why| {
                let on = format!("--{word} {value}");
                Error::new(Kind::Invalid, "read options", on, why)
            })?;
        }
        Ok(checks)
    }
}
