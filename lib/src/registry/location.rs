//! Where the registry is.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::error::{Error, Kind, Result};

/// The name of a registry at the root of a repository, as the programs that procherd replaces have it.
pub const REPOSITORY_NAME: &str = ".live-process-registry.json";

/// Finds the path of the registry, always absolute.
///
/// What was `given` on the command line, else `$PROCHERD_REGISTRY`, else [`REPOSITORY_NAME`] in `$CODING_REPO`, else
/// `$XDG_STATE_HOME/procherd/registry.json`, else the same below `~/.local/state`. It is never looked for in the
/// working directory. An empty value is an error: it is a variable that somebody forgot to set.
pub fn locate(given: Option<&Path>) -> Result<PathBuf> {
    locate_in(given, |name| std::env::var_os(name), home_of_user)
}

fn locate_in(
    given: Option<&Path>,
    variable: impl Fn(&str) -> Option<OsString>,
    home: impl Fn() -> Option<PathBuf>,
) -> Result<PathBuf> {
    if let Some(path) = given {
        return absolute("--registry", path);
    }
    if let Some(path) = variable("PROCHERD_REGISTRY") {
        return absolute("$PROCHERD_REGISTRY", Path::new(&path));
    }
    if let Some(root) = variable("CODING_REPO") {
        return Ok(absolute("$CODING_REPO", Path::new(&root))?.join(REPOSITORY_NAME));
    }
    let state = variable("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let state = state.or_else(|| {
        let home = variable("HOME").map(PathBuf::from).filter(|path| path.is_absolute()).or_else(home)?;
        Some(home.join(".local/state"))
    });
    match state {
        Some(state) => Ok(state.join("procherd/registry.json")),
        None => {
            Err(Error::new(Kind::Invalid, "find registry", "", "no home folder (--registry names a file)"))
        }
    }
}

fn absolute(what: &'static str, path: &Path) -> Result<PathBuf> {
    if path.as_os_str().is_empty() {
        return Err(Error::new(Kind::Invalid, "find registry", what, "empty"));
    }
    std::path::absolute(path).map_err(|error| Error::system("find registry", what, error))
}

fn home_of_user() -> Option<PathBuf> {
    nix::unistd::User::from_uid(nix::unistd::geteuid()).ok().flatten().map(|user| user.dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn located(given: Option<&str>, variables: &[(&str, &str)]) -> Result<PathBuf> {
        let variable = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
        };
        locate_in(given.map(Path::new), variable, || Some("/home/of/passwd".into()))
    }

    #[test]
    fn the_nearest_word_decides() {
        let mut said = vec![("HOME", "/h")];
        let mut expect = |given, path: &str, add| {
            assert_eq!(located(given, &said).expect("a path"), Path::new(path));
            said.push(add);
        };
        expect(None, "/h/.local/state/procherd/registry.json", ("XDG_STATE_HOME", "/x"));
        expect(None, "/x/procherd/registry.json", ("CODING_REPO", "/repo"));
        expect(None, "/repo/.live-process-registry.json", ("PROCHERD_REGISTRY", "/r.json"));
        expect(None, "/r.json", ("", ""));
        expect(Some("/given.json"), "/given.json", ("", ""));
    }

    #[test]
    fn an_empty_value_is_an_error_and_a_relative_one_is_made_absolute() {
        assert!(located(Some(""), &[]).is_err());
        assert!(located(None, &[("PROCHERD_REGISTRY", "")]).is_err());
        assert!(located(Some("r.json"), &[]).expect("a path").is_absolute());
        let home = located(None, &[("XDG_STATE_HOME", "relative"), ("HOME", "")]).expect("a path");
        assert_eq!(home, Path::new("/home/of/passwd/.local/state/procherd/registry.json"));
    }
}
