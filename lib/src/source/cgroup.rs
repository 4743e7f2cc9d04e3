//! Which container a process is in, as its control group tells (cgroups(7)).

use super::Source;
use crate::id::Pid;

/// A container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// Its id, or its name where the engine uses names.
    pub id: String,
    /// What runs it: `docker`, `podman`, `containerd`, `crio`, `lxc`, `nspawn`, or `unknown`.
    pub engine: &'static str,
}

impl Source {
    /// The container of a process; none where its control group names none, or may not be read.
    ///
    /// A process that looks from inside of a container sees paths that begin there, and no container.
    pub fn container(&self, pid: Pid) -> Option<Container> {
        container_of(&String::from_utf8_lossy(&self.whole(pid, "cgroup").ok()?))
    }
}

/// Finds the container in the text of `/proc/PID/cgroup`: in the innermost folder that names one.
pub fn container_of(cgroup: &str) -> Option<Container> {
    let mut paths = cgroup.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    paths.find_map(|path| path.rsplit('/').find_map(|part| named(path, part)))
}

fn named(path: &str, part: &str) -> Option<Container> {
    let of = |id: &str, engine| Some(Container { id: id.to_owned(), engine });
    let scope = part.strip_suffix(".scope").or_else(|| part.strip_suffix(".service")).unwrap_or(part);
    for (prefix, engine) in [
        ("docker-", "docker"),
        ("libpod-payload-", "podman"),
        ("libpod-", "podman"),
        ("cri-containerd-", "containerd"),
        ("crio-", "crio"),
    ] {
        if let Some(id) = scope.strip_prefix(prefix).filter(|id| is_id(id)) {
            return of(id, engine);
        }
    }
    if let Some(name) = scope.strip_prefix("machine-").filter(|_| path.contains("machine.slice")) {
        return of(name, "nspawn");
    }
    if let Some(name) = part.strip_prefix("lxc.payload.").filter(|name| !name.is_empty()) {
        return of(name, "lxc");
    }
    let before = path.split(part).next().unwrap_or_default().trim_end_matches('/');
    match before.rsplit('/').next().unwrap_or_default() {
        "lxc" if !part.is_empty() => of(part, "lxc"),
        "docker" if is_id(part) => of(part, "docker"),
        "libpod_parent" if is_id(part) => of(part, "podman"),
        _ if is_id(part) && path.contains("kubepods") => of(part, "containerd"),
        _ if is_id(part) => of(part, "unknown"),
        _ => None,
    }
}

/// Tells whether a word is the id of a container: 64 hexadecimal digits.
fn is_id(word: &str) -> bool {
    word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_engine_is_known_by_its_folders() {
        let id = "0123456789abcdef".repeat(4);
        for (path, engine) in [
            (format!("0::/system.slice/docker-{id}.scope"), "docker"),
            (format!("12:cpu,cpuacct:/docker/{id}\n0::/docker/{id}/init"), "docker"),
            (
                format!(
                    "0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{id}.scope/container"
                ),
                "podman",
            ),
            (format!("0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-{id}.scope"), "containerd"),
            (format!("0::/kubepods/burstable/pod1/{id}"), "containerd"),
            (format!("0::/kubepods.slice/crio-{id}.scope"), "crio"),
        ] {
            assert_eq!(container_of(&path), Some(Container { id: id.clone(), engine }), "{path}");
        }
        let lxc = |path| container_of(path).map(|found| (found.id, found.engine));
        assert_eq!(lxc("0::/lxc.payload.web/init.scope"), Some(("web".into(), "lxc")));
        assert_eq!(lxc("4:pids:/lxc/web"), Some(("web".into(), "lxc")));
        assert_eq!(lxc("0::/machine.slice/machine-deb.scope/payload"), Some(("deb".into(), "nspawn")));
    }

    #[test]
    fn what_only_looks_like_one_is_none() {
        for path in [
            "0::/",
            "0::/user.slice/user-1000.slice/session-2.scope",
            "0::/system.slice/docker.service",
            "0::/system.slice/docker-short.scope",
            "1:name=systemd:/init.scope",
            "",
            "nonsense",
        ] {
            assert_eq!(container_of(path), None, "{path}");
        }
    }
}
