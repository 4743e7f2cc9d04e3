//! What this machine lets the tools do.

use std::path::Path;

use procherd::host::{self, Host};
use procherd::id::Pid;
use procherd::select::{Fact, Facts as _};

use super::{Findings, On, Severity};
use crate::frame::Scene;

/// The inode of the first pid namespace of a machine (`PROC_PID_INIT_INO` of the kernel).
const FIRST_PID_NS: u64 = 0xEFFF_FFFC;

/// How many descriptors the tools like to have: fewer make them slower, not wrong.
const ENOUGH_FILES: u64 = 1024;

/// Where cron looks for programs unless its table says otherwise (crontab(5)).
const CRON_PATH: [&str; 2] = ["/usr/bin", "/bin"];

pub(super) fn examine(scene: &Scene, findings: &mut Findings) {
    let host = scene.host();
    sight(scene, findings);
    descriptors(host, findings);
    marks(scene, findings);
    if host.place().machine.is_some() {
        findings.fine("machine-id", "an earlier run of this machine can be told from another machine");
    } else {
        findings.about_machine(
            "machine-id",
            Severity::Notice,
            "there is none: after a reboot, what was registered counts as foreign, and stays",
            "systemd-machine-id-setup",
        );
    }
    cron(findings);
}

/// Which processes can be seen at all.
fn sight(scene: &Scene, findings: &mut Findings) {
    let count = scene.table().processes().len();
    // The first process is always there: where it is not shown, others are hidden as well.
    if scene.table().find(Pid::INIT.get()).is_none() {
        findings.about_machine(
            "processes",
            Severity::Warning,
            "/proc hides the processes of other users (hidepid): what they hold and what they left is out of sight",
            "mount -o remount,hidepid=0 /proc",
        );
    } else {
        findings.add("processes", Severity::Fine, On::Count(count), "all processes can be seen", None);
    }
    if scene.host().place().pid_ns == FIRST_PID_NS {
        findings.fine("namespace", "this is the first pid namespace of the machine");
    } else {
        let why = "a container, or another pid namespace: processes outside of it are out of sight";
        findings.add("namespace", Severity::Notice, On::Machine, why, None);
    }
}

/// How well processes can be held.
fn descriptors(host: &Host, findings: &mut Findings) {
    if !host.has_pidfd() {
        let why = "pidfd_open does not work (before Linux 5.3, or forbidden by the container): a few microseconds remain \
                   between the last look at a process and its signal";
        findings.add("pidfd", Severity::Warning, On::Machine, why, None);
    } else if !host.has_pidfs() {
        let why = "pidfds have no inodes of their own (before Linux 6.9): number and time of start stand in for them";
        findings.add("pidfd", Severity::Notice, On::Machine, why, None);
    } else {
        findings.fine("pidfd", "every process has an identity that is never given twice");
    }
    let files = host::raise_file_limit();
    if files < ENOUGH_FILES {
        let why = format!("no more than {files} files may be open at once: large trees are ended in batches");
        findings.about_machine("open-files", Severity::Notice, why, "ulimit -Hn 4096, as root");
    } else {
        findings.fine("open-files", format!("{files} files may be open at once"));
    }
}

/// Whether the marks of one's own processes can be read.
fn marks(scene: &Scene, findings: &mut Findings) {
    let own = host::own_uid();
    let mut hidden = 0;
    for process in scene.table().processes() {
        let mine = !process.kernel_thread && !process.is_zombie() && process.uid == Some(own);
        hidden += usize::from(mine && scene.environ(process) == Fact::Hidden);
    }
    if hidden == 0 {
        findings.fine("environment", "the marks of all own processes can be read");
    } else {
        let why = "their environment cannot be read: only descent and sessions tell what belongs to them";
        findings.add("environment", Severity::Notice, On::Count(hidden), why, None);
    }
}

/// Whether cron finds the tools.
fn cron(findings: &mut Findings) {
    let program = std::env::current_exe().unwrap_or_default();
    let folder = program.parent().unwrap_or(Path::new("/"));
    let there = |path: &str| Path::new(path).join("preap").exists();
    if CRON_PATH.iter().any(|path| there(path)) {
        findings.fine("cron-path", "cron finds the tools");
    } else {
        let line = format!("PATH={}:{}", folder.display(), CRON_PATH.join(":"));
        let fix = format!("(echo {}; crontab -l) | crontab -", procherd::registry::quoted(&line));
        let why = "the tools are not where cron looks for programs";
        findings.about_machine("cron-path", Severity::Notice, why, &fix);
    }
}
