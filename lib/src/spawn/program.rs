//! Finding the program that a command names, and saying why it cannot be run.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::{AccessFlags, access};

use super::Order;
use crate::error::{Error, Kind};

/// Why a command cannot be run, and what would mend it.
#[derive(Debug)]
pub struct Cannot {
    /// Whether there is such a program at all: a shell says 126 if so, and 127 if not.
    pub found: bool,
    /// What to tell.
    pub error: Error,
}

/// The path that is searched where the environment names none (confstr(3) `_CS_PATH`).
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// Finds the program of a command as the service itself would: through the PATH of its own environment, from its own folder.
pub(super) fn find(order: &Order) -> Result<PathBuf, Cannot> {
    if !order.cwd.is_dir() {
        let why = match order.cwd.metadata() {
            Ok(_) => "not a folder (--cwd names another)",
            Err(_) => "no such folder (make it, or name another with --cwd)",
        };
        let error = Error::new(Kind::Gone, "enter working folder", order.cwd.display(), why);
        return Err(Cannot { found: true, error });
    }
    let name = order.command.first().filter(|name| !name.is_empty());
    let Some(name) = name else {
        let error = Error::new(Kind::Invalid, "run command", "''", "the name of the program is empty");
        return Err(Cannot { found: false, error });
    };
    if name.as_bytes().contains(&b'/') {
        let path = order.cwd.join(name);
        return match look(&path) {
            Look::Program => Ok(path),
            Look::Nothing => {
                Err(Cannot::missing(name, "no such file (a path with a slash begins at the working folder)"))
            }
            other => Err(other.cannot(&path)),
        };
    }
    let path = order.environment.get("PATH").unwrap_or(OsStr::new(DEFAULT_PATH));
    let mut unfit = None;
    for folder in std::env::split_paths(path) {
        let candidate = order.cwd.join(folder).join(name);
        match look(&candidate) {
            Look::Program => return Ok(candidate),
            Look::Nothing => {}
            other => {
                unfit.get_or_insert((other, candidate));
            }
        }
    }
    match unfit {
        Some((look, candidate)) => Err(look.cannot(&candidate)),
        None => Err(not_on_path(order, name)),
    }
}

enum Look {
    Program,
    Nothing,
    Folder,
    NotExecutable,
}

fn look(path: &Path) -> Look {
    match path.metadata() {
        Ok(facts) if facts.is_dir() => Look::Folder,
        Ok(_) if access(path, AccessFlags::X_OK).is_ok() => Look::Program,
        Ok(_) => Look::NotExecutable,
        Err(_) => Look::Nothing,
    }
}

impl Look {
    fn cannot(&self, path: &Path) -> Cannot {
        let why = match self {
            Self::Folder => "it is a folder".to_owned(),
            _ => format!(
                "not executable ('chmod +x {}' makes it so, or put its interpreter before it)",
                path.display()
            ),
        };
        Cannot { found: true, error: Error::new(Kind::Denied, "run command", path.display(), why) }
    }
}

/// Says that a program is not there, and where it might be meant.
fn not_on_path(order: &Order, name: &OsStr) -> Cannot {
    let shown = name.display();
    for (folder, advice) in [
        (".venv/bin", "its environment is not active: '. .venv/bin/activate' first"),
        ("venv/bin", "its environment is not active: '. venv/bin/activate' first"),
        ("node_modules/.bin", "it belongs to this project: run it with 'npx'"),
        (".", "it is in the working folder, which is not searched"),
    ] {
        let there = order.cwd.join(folder).join(name);
        if matches!(look(&there), Look::Program) {
            let path = Path::new(folder).join(name);
            return Cannot::missing(name, &format!("not on PATH; {advice}, or name it {}", path.display()));
        }
    }
    Cannot::missing(
        name,
        &format!(
            "not on PATH (install it, or give its path; 'command -v {shown}' shows where a shell finds it)"
        ),
    )
}

impl Cannot {
    fn missing(name: &OsStr, why: &str) -> Self {
        Self { found: false, error: Error::new(Kind::Gone, "run command", name.display(), why) }
    }

    /// Says why the kernel refused a program that was found.
    pub(super) fn exec(order: &Order, program: &Path, errno: Errno) -> Self {
        let found = |why: String| Self {
            found: true,
            error: Error::new(Kind::of(&errno.into()), "run command", program.display(), why),
        };
        match errno {
            Errno::ENOENT if !program.exists() => {
                let name = order.command.first().map_or(OsStr::new(""), |name| name.as_os_str());
                Self::missing(name, "it was removed at this moment")
            }
            Errno::ENOENT => found(match interpreter(program) {
                Some(name) => format!(
                    "its interpreter {name} does not exist (install it, or mend the first line of the file)"
                ),
                None => {
                    "the loader that it asks for does not exist (it was built for another system)".to_owned()
                }
            }),
            Errno::ENOEXEC => found(format!(
                "neither a program nor a script with a '#!' line ('sh {}' runs it as a shell script)",
                program.display()
            )),
            Errno::EACCES => found(match interpreter(program) {
                Some(name) => format!("permission denied (may {name} be executed?)"),
                None => "permission denied (is its file system mounted with noexec?)".to_owned(),
            }),
            Errno::E2BIG => found("its arguments and environment together are too long".to_owned()),
            other => found(other.desc().to_lowercase()),
        }
    }
}

/// The interpreter that the first line of a script names.
fn interpreter(program: &Path) -> Option<String> {
    let mut head = Vec::new();
    File::open(program).ok()?.take(256).read_to_end(&mut head).ok()?;
    let line = head.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?.trim_ascii();
    let name = line.split(u8::is_ascii_whitespace).next()?;
    Some(String::from_utf8_lossy(name).into_owned())
}
