//! The lines that make a script of the shell end what it has started.

use std::io::Write as _;

use procherd::error::Error;
use procherd::host::unix_ms;
use procherd::registry::quoted;

use super::{Args, project};
use crate::frame::{Exit, Outcome};

/// Prints them.
pub(super) fn print(args: &Args) -> Outcome {
    let id = match &args.id {
        Some(id) => quoted(id),
        None => format!("\"session-$$-{}\"", unix_ms() / 1000),
    };
    let mut variables = vec![("PROCHERD_SESSION", id)];
    variables.extend(args.export.iter().map(|name| (name.as_str(), "$PROCHERD_SESSION".to_owned())));
    if let Some(path) = &args.project {
        variables.push(("PROCHERD_PROJECT", quoted(&project(path)?)));
    }
    let registry = args.registry.registry.as_ref();
    let registry = registry.map(|path| format!(" --registry {}", quoted(&path.to_string_lossy())));
    let text = include_str!("hook.sh")
        .replace("@GRACE@", &format!("{}ms", args.grace.as_millis()))
        .replace("@REGISTRY@", &registry.unwrap_or_default());
    let mut out = Vec::new();
    for (name, value) in variables {
        // Writing to memory does not fail.
        let _ = writeln!(out, "{name}={value}\nexport {name}");
    }
    out.extend_from_slice(text.as_bytes());
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(&out).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::system("write", "standard output", error))
        }
        _ => Ok(Exit::Done),
    }
}
