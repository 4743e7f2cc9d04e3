//! What is measured with what: our tools, the peers on this machine, and the helpers written in C.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use crate::report;

/// What was asked for.
pub(crate) struct Options {
    folder: Option<PathBuf>,
    parts: Vec<String>,
}

impl Options {
    const PARTS: [&str; 9] =
        ["look", "end", "ports", "finders", "watch", "start", "spawn", "registry", "keep"];

    /// Reads `[--tools DIR] [PART...]`.
    pub(crate) fn read(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let (mut folder, mut parts) = (None, Vec::new());
        while let Some(word) = words.next() {
            match word.as_str() {
                "--tools" => {
                    folder = Some(words.next().ok_or("read options: --tools: it needs a folder")?.into());
                }
                part if Self::PARTS.contains(&part) => parts.push(word),
                _ => {
                    return Err(format!(
                        "read options: {word}: neither --tools DIR nor one of {:?}",
                        Self::PARTS
                    ));
                }
            }
        }
        Ok(Self { folder, parts })
    }

    /// Tells whether a part is to be measured; all are when none was named.
    pub(crate) fn wants(&self, part: &str) -> bool {
        self.parts.is_empty() || self.parts.iter().any(|wanted| wanted == part)
    }
}

/// Where everything is.
pub(crate) struct Tools {
    folder: PathBuf,
    own: PathBuf,
    helpers: PathBuf,
}

impl Tools {
    /// Finds the tools, beside this program unless a folder was named, and compiles the helpers.
    pub(crate) fn make_ready(options: &Options) -> Result<Self, String> {
        let own = std::env::current_exe().map_err(|error| format!("find tools: {error}"))?;
        let beside = own.parent().unwrap_or(Path::new("/")).to_owned();
        let folder = options.folder.clone().unwrap_or_else(|| beside.clone());
        let helpers = beside.join("bench-helpers");
        std::fs::create_dir_all(&helpers).map_err(|error| format!("make: {}: {error}", helpers.display()))?;
        let compiled = |compiler: &mut Command, source: &str, name: &str| {
            let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(source);
            let told = compiler.arg("-o").args([&helpers.join(name), &source]).status();
            match told {
                Ok(status) if status.success() => Ok(()),
                Ok(status) => Err(format!("compile: {}: {status}", source.display())),
                Err(error) => Err(format!("compile: {}: {error}", source.display())),
            }
        };
        for name in ["crowd", "floor", "sweep"] {
            compiled(Command::new("cc").args(["-std=gnu11", "-O2", "-Wall"]), &format!("{name}.c"), name)?;
        }
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let as_we_are = ["--edition=2024", "-O", "-Cpanic=abort", "-Cstrip=symbols"];
        compiled(Command::new(rustc).args(as_we_are), "empty.rs", "empty")?;
        Ok(Self { folder, own: beside, helpers })
    }

    /// The path of a helper.
    pub(crate) fn helper(&self, name: &str) -> PathBuf {
        self.helpers.join(name)
    }

    /// The path of one of our tools; none, said aloud, where it is not built.
    pub(crate) fn ours(&self, name: &str) -> Option<PathBuf> {
        Self::built(&self.folder, name)
    }

    /// The path of a program that is built beside this one; none, said aloud, where it is not built.
    pub(crate) fn beside(&self, name: &str) -> Option<PathBuf> {
        Self::built(&self.own, name)
    }

    fn built(folder: &Path, name: &str) -> Option<PathBuf> {
        let path = folder.join(name);
        if !path.exists() {
            report::skipped(name, &format!("{} is not there", path.display()));
            return None;
        }
        Some(path)
    }

    /// All our tools: every program in the folder that is neither this one nor what it is compared with.
    pub(crate) fn all(&self) -> Vec<(String, PathBuf)> {
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return Vec::new() };
        let mut found: Vec<(String, PathBuf)> = entries
            .flatten()
            .filter(|entry| {
                entry.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
            })
            .map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path()))
            .filter(|(name, _)| name.starts_with('p') && !name.contains('.'))
            .collect();
        found.sort();
        found
    }
}

/// A peer by name; none, said aloud, where the machine has none.
pub(crate) fn peer(name: &str) -> Option<Command> {
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(name).exists()));
    if !found {
        report::skipped(name, "this machine has none");
    }
    found.then(|| Command::new(name))
}

/// Runs this program again as the first process of a pid namespace, and gives its exit code. None: this is it already,
/// or it is not allowed (then everything happens in the namespace of the caller, which is said).
pub(crate) fn inside_a_namespace() -> Option<ExitCode> {
    const MARK: &str = "PROCHERD_BENCH_INSIDE";
    end_when_interrupted();
    if std::env::var_os(MARK).is_some() {
        return None;
    }
    let own = std::env::current_exe().ok()?;
    for more in [&[][..], &["--user", "--map-root-user"]] {
        let unshare = || {
            let mut command = Command::new("unshare");
            command.args(more).args(["--pid", "--fork", "--kill-child", "--mount-proc", "--"]);
            command
        };
        let allowed = unshare()
            .arg("true")
            .stderr(std::process::Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        if allowed {
            let status =
                unshare().arg(&own).args(std::env::args_os().skip(1)).env(MARK, "1").status().ok()?;
            return Some(
                status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, Into::into),
            );
        }
    }
    report::skipped("a pid namespace of our own", "unshare is missing or not allowed");
    None
}

/// The first process of a namespace ignores every signal that it has no handler for, so Ctrl-C needs one.
#[expect(unsafe_code, reason = "a handler of a signal")]
fn end_when_interrupted() {
    extern "C" fn end(signal: i32) {
        // SAFETY: _exit may be called in a handler.
        unsafe { libc::_exit(128 + signal) }
    }
    let action = SigAction::new(SigHandler::Handler(end), SaFlags::empty(), SigSet::empty());
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        // SAFETY: the handler does nothing but end the process.
        let _ = unsafe { sigaction(signal, &action) };
    }
}
