#!/usr/bin/env python3
"""Looks at one run of the stack through /proc alone, so that the tools under test are never their own judge.

A process belongs to the run when it carries the run's mark in its environment, when its working folder or its program
lies inside the run's monorepo, or when it was noted as a member while all of it was alive. It is ended only through a
pidfd, after its start time was compared.
"""

import argparse
import contextlib
import ctypes
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

from proc import commandline, dead, environment, inside, key, link, own_line, send, stat, until

MARK = "PROCHERD_STACK_RUN"
INNOCENT = "PROCHERD_STACK_INNOCENT"
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
SERVICES = ("api", "agent", "web", "bundle", "chain", "python", "test")
INNOCENTS = ("terminal", "editor", "other-project", "nohup-job", "daemon")
# Whose code says that it runs, by a file in .ready: the test workers, and what no port tells about.
BEGINNERS = ("jobs", *(f"{package}-{file}" for package in "abcdef" for file in ("first", "second", "third")))
# The eleven patterns of the node stack, written down again here: the tools' own copy is under test.
PATTERNS = (
    "npm run dev|npm run start|npm start|npm run test|npm test|tsx watch|tsx.*run-agent|vitest|turbo run test"
    "|pnpm run test|esbuild"
)


class Run:
    """The folder of one run: `project` is the monorepo, the rest are notes about it."""

    def __init__(self, folder):
        self.folder = os.path.realpath(folder)
        self.project = os.path.join(self.folder, "project")
        self.mark = os.path.basename(self.folder)

    def path(self, name):
        return os.path.join(self.folder, name)

    def read(self, name):
        """A note, or the empty value when it was never written."""
        try:
            with open(self.path(name), encoding="utf-8") as file:
                return json.load(file)
        except FileNotFoundError:
            return {}

    def write(self, name, value):
        with open(self.path(name) + ".new", "w", encoding="utf-8") as file:
            json.dump(value, file)
        os.replace(self.path(name) + ".new", self.path(name))

    def pid(self, name):
        """A pid that the launching shell recorded."""
        with open(os.path.join(self.project, ".pids", name), encoding="ascii") as file:
            return int(file.read())


def scan(run, everyone=False):
    """All living members of the run, oldest first; its innocents too, if everyone is asked for."""
    known, innocents = run.read("members"), run.read("innocents")
    spared = own_line()
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            process = stat(pid)
            if dead(process) or process["pid"] in spared:
                continue
            env, process["cmdline"] = environment(pid), commandline(pid)
            process["cwd"], process["exe"] = link(pid, "cwd"), link(pid, "exe")
            process["marked"] = env.get(MARK) == run.mark
            # An ssh-agent shows its environment to nobody.
            if key(process) in innocents or env.get(INNOCENT) == run.mark or run.path("agent.sock") in process["cmdline"]:
                member = everyone
            else:
                member = process["marked"] or key(process) in known
                member = member or inside(process["cwd"], run.project) or inside(process["exe"], run.project)
            if member:
                found.append(process)
        except (FileNotFoundError, ProcessLookupError):
            continue  # it vanished while it was read
    return sorted(found, key=lambda process: (process["start"], process["pid"]))


def erase(run):
    """Ends what is left of the run, its innocents too. Returns what could not be ended."""

    def nobody():
        left = scan(run, everyone=True)
        for process in left:
            send(process, signal.SIGKILL)
        return not left

    # Twice: what was forked while the first look was under way is found by the second.
    gone = until(time.monotonic() + 10, nobody) and until(time.monotonic() + 10, nobody)
    return [] if gone else scan(run, everyone=True)


def answers(port):
    """Whether an HTTP server answers; a connection alone proves nothing, uvicorn's reloader holds the socket early."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as stream:
            stream.sendall(b"GET / HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
            return stream.recv(5).startswith(b"HTTP")
    except OSError:
        return False


def free(port):
    """Whether a server could bind the port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind(("127.0.0.1", port))
            server.listen()
        except OSError:
            return False
    return True


def table(processes, out=sys.stdout):
    print(f"{'PID':>7} {'PPID':>7} {'PGID':>7} {'SID':>7} S {'RSS':>6} {'CWD':<28} COMMAND", file=out)
    for process in processes:
        cwd = process["cwd"]
        print(
            f"{process['pid']:>7} {process['ppid']:>7} {process['pgid']:>7} {process['sid']:>7} {process['state']}"
            f" {process['rss'] >> 20:>5}M {cwd[-28:]:<28} {process['cmdline'][:150]}",
            file=out,
        )


def missing(run, ports):
    """What the stack still lacks before it may be called running."""
    lacks = [f"an answer on port {port}" for port in ports if not answers(port)]
    lacks += [f"the innocent {name}" for name in INNOCENTS if not os.path.exists(run.path(f"idle-{name}"))]
    begun = set()
    with contextlib.suppress(FileNotFoundError):
        begun.update(os.listdir(os.path.join(run.project, ".ready")))
    lacks += [f"{name} running" for name in BEGINNERS if name not in begun]
    try:
        with open(os.path.join(run.project, ".log", "chain"), encoding="utf-8", errors="replace") as log:
            if "Watching for file changes" not in log.read():
                lacks.append("the first pass of tsc --watch")
    except FileNotFoundError:
        lacks.append("the log of the chain")
    return lacks


def settle(run, looks, seconds):
    """Waits until nobody comes or goes for so many looks; True when that was seen in time."""
    seen = []

    def same():
        seen.append({key(process) for process in scan(run)})
        return len(seen) >= looks and all(one == seen[-1] for one in seen[-looks:])

    return until(time.monotonic() + seconds, same)


def ready(run, ports, seconds):
    """Waits until all services answer and all workers run their test; then notes who belongs to the stack."""
    begin = time.monotonic()
    if not until(begin + seconds, lambda: not missing(run, ports)):
        sys.exit(f"stack: wait until it runs: after {seconds:.0f} s: still without {', '.join(missing(run, ports))}")
    note_innocents(run)
    if not settle(run, 10, seconds):
        sys.exit(f"stack: wait until it runs: after {seconds:.0f} s: processes still come and go")
    members = scan(run)
    run.write("members", {key(process): process for process in members})
    print(
        f"stack: {len(members)} processes run after {time.monotonic() - begin:.1f} s:"
        f" {len({process['sid'] for process in members})} sessions,"
        f" {len({process['pgid'] for process in members})} process groups,"
        f" {sum(process['rss'] for process in members) / 2**30:.1f} GiB resident,"
        f" {sum(process['marked'] for process in members)} carry the mark",
        flush=True,
    )


def note_innocents(run):
    """Notes the processes that nothing may touch: each one has left its pid in the run's folder."""
    noted = {}
    for file in os.listdir(run.folder):
        if file.startswith("idle-"):
            with open(run.path(file), encoding="ascii") as pid:
                noted[key(stat(int(pid.read())))] = file.removeprefix("idle-")
    run.write("innocents", noted)
    return noted


def harmed(run):
    """The innocents that do not live on as they were, or that a signal has reached."""
    hurt = set()
    for identity, name in run.read("innocents").items():
        pid, _, start = identity.partition(":")
        try:
            process = stat(pid)
            if process["start"] != int(start) or dead(process) or process["state"] in "Tt":
                hurt.add(name)
        except (FileNotFoundError, ProcessLookupError):
            hurt.add(name)
    with contextlib.suppress(FileNotFoundError):
        with open(run.path("touched"), encoding="utf-8") as file:
            hurt.update(line.split()[0] for line in file)
    return hurt


def roots(run):
    """The processes that a start script would have recorded, in the order of their start."""
    pids = {run.pid(name) for name in SERVICES}
    return [process for process in run.read("members").values() if process["pid"] in pids]


def shell(run):
    pid = run.pid("shell")
    return next(process for process in run.read("members").values() if process["pid"] == pid)


def healthy(run, processes):
    """Those that live in the session of a service root which leads it: after the start script ended they look like any daemon."""
    leaders = {process["pid"] for process in roots(run) if process["pid"] == process["sid"]}
    return [process for process in processes if process["sid"] in leaders]


def wreck(run, state):
    """Brings the stack into the state that is to be cleaned up, by ending only what it started itself."""
    victims = []
    if state == "stopped":
        for process in scan(run):
            send(process, signal.SIGSTOP)
        if not until(time.monotonic() + 10, lambda: all(process["state"] == "T" for process in scan(run))):
            sys.exit("stack: stop all processes: some still run after 10 s")
    if state != "alive":
        victims.append(shell(run))
    if state not in ("alive", "shell-dead"):
        victims += roots(run)
    for process in victims:
        send(process, signal.SIGKILL)
    gone = {key(process) for process in victims}
    if not until(time.monotonic() + 10, lambda: not gone & {key(process) for process in scan(run)}):
        sys.exit("stack: end the launching shell and the roots: they are still there after 10 s")
    # What ends by itself when its parent is gone (its pipe closed) is no work for the pipeline: wait until it has.
    settle(run, 10, 20)
    left = scan(run)
    run.write("wrecked", {key(process): process for process in left})
    pids = {process["pid"] for process in left}
    tops = [process for process in left if process["ppid"] not in pids]
    print(
        f"stack: {state}: {len(victims)} ended with SIGKILL, {len(left)} run on below {len(tops)} tops"
        f" (parents {', '.join(sorted({str(process['ppid']) for process in tops}))}),"
        f" {sum(process['pid'] == process['sid'] for process in left)} lead a session",
        flush=True,
    )


class Watch:
    """Notes when each of some processes ended; it sleeps in poll, so it costs the tools nothing."""

    def __init__(self, processes):
        self.ends = []
        self.over = threading.Event()
        self.poll = select.poll()
        self.open = {}
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                descriptor = os.pidfd_open(process["pid"])
                self.open[descriptor] = process
                self.poll.register(descriptor, select.POLLIN)
        self.thread = threading.Thread(target=self.follow, daemon=True)
        self.thread.start()

    def follow(self):
        while self.open:
            events = self.poll.poll(100)
            for descriptor, _ in events:
                self.poll.unregister(descriptor)
                self.ends.append((time.monotonic(), self.open.pop(descriptor)))
                os.close(descriptor)
            if self.over.is_set() and not events:
                break
        for descriptor in self.open:
            os.close(descriptor)

    def story(self, begin):
        """In words: when most were gone, and when the last one, which others may have kept waiting."""
        self.over.set()
        self.thread.join()
        if not self.ends:
            return "nobody went"
        moments = [moment - begin for moment, _ in self.ends]
        last = self.ends[-1][1]["cmdline"]
        return (
            f"half were gone after {moments[len(moments) // 2]:.2f} s, all but two after {moments[-3:][0]:.2f} s,"
            f" the last after {moments[-1]:.2f} s (…{last[-40:]})"
        )


def seen_during(seconds, look):
    """All that is seen in some seconds, by identity."""
    seen, deadline = {}, time.monotonic() + seconds
    while time.monotonic() < deadline:
        seen.update(look())
        time.sleep(0.1)
    return seen


def clean(run, command, keep_healthy, only_matching, ports):
    """Runs one command line as a user would, from inside the project, and judges what it left. True when all is well."""
    before = scan(run)
    standing = {key(process) for process in before}
    keep = {key(process): process for process in (healthy(run, before) if keep_healthy else [])}
    env = {name: value for name, value in os.environ.items() if name not in (MARK, INNOCENT)}
    env["STACK"] = run.project
    env["STACK_PIDS"] = " ".join(str(process["pid"]) for process in roots(run) if key(process) in standing)

    def remaining():
        return {
            key(process): process
            for process in scan(run)
            if key(process) not in keep and (not only_matching or re.search(PATTERNS, process["cmdline"]))
        }

    targets = remaining()
    watch = Watch(targets.values())
    print(f"stack: $ {command}", flush=True)
    begin = time.monotonic()
    with open(run.path("records"), "w+b") as records:
        code = subprocess.run(["/bin/sh", "-c", command], cwd=run.project, env=env, stdout=records, check=False).returncode
        took = time.monotonic() - begin
        records.seek(0)
        forced = [record for record in map(json.loads, records) if record.get("outcome") == "killed"]
    # A launching shell that only waited for what was ended is given the moment to notice it.
    until(begin + took + 1, lambda: all(process["pid"] != run.pid("shell") for process in remaining().values()))
    left = remaining()
    # And a second look, during a while: what was respawned is back by then.
    left.update(seen_during(1.0, remaining))
    taken = [port for port in ports if not free(port)]
    story = watch.story(begin)
    noted, hurt = run.read("innocents"), harmed(run)
    living = {key(process) for process in scan(run)}
    lost = [process for identity, process in keep.items() if identity not in living]
    print(f"stack: exit {code} after {took:.2f} s; {story}")
    for record in forced:  # what the tools say: shown, never believed
        print(f"stack: by force: {record['pid']}: {' '.join(record.get('cmdline', []))[:120]}")
    pids = {process["pid"] for process in left.values()}
    tops = [process for process in left.values() if process["ppid"] not in pids]
    for process in tops:
        print(
            f"stack: left over: {process['pid']} (parent {process['ppid']}, session {process['sid']},"
            f" state {process['state']}): {process['cmdline'][:120]}"
        )
    if len(left) > len(tops):
        print(f"stack: left over: {len(left) - len(tops)} more below these")
    for process in lost:
        print(f"stack: a healthy service is gone: {process['pid']}: {process['cmdline'][:120]}")
    for name in sorted(hurt):
        print(f"stack: an innocent was harmed: {name}")
    print(
        f"stack: left {len(left)} of {len(targets)} · innocents {len(noted) - len(hurt)} of {len(noted)}"
        + (f" · ports free {len(ports) - len(taken)} of {len(ports)}" if ports else "")
        + (f" · healthy services' processes {len(keep) - len(lost)} of {len(keep)}" if keep else "")
        + f" · {took:.2f} s",
        flush=True,
    )
    return not (left or lost or taken or hurt or code)


def prctl(option, value):
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0):
        sys.exit(f"stack: prctl {option}: {os.strerror(ctypes.get_errno())}")


def rest():
    """Reaps whatever becomes a child of this process, until a signal ends it."""
    while True:
        try:
            os.wait()
        except ChildProcessError:
            signal.pause()


def become(run, command):
    os.environ.pop(INNOCENT, None)
    os.environ[MARK] = run.mark
    os.execvp(command[0], command)


def subreaper(run, command):
    """Starts the command in a session of its own and adopts all that it leaves behind, as `systemd --user` does."""
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    if os.fork() == 0:
        os.setsid()
        become(run, command)
    rest()


def tini(run, command):
    """Like the init of a container: it adopts, and its one child starts the command in the session that all share."""
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    with open("/proc/self/comm", "w", encoding="ascii") as comm:
        comm.write("tini")
    if os.fork() == 0:
        os.setpgid(0, 0)
        if os.fork() == 0:
            become(run, command)
        with open(run.path("idle-main"), "w", encoding="ascii") as file:
            file.write(str(os.getpid()))
    rest()


def janitor(run, owner):
    """Waits for the end of the process that owns the run, whatever ends it, and then clears everything away."""
    os.setsid()
    os.chdir("/")
    watch = select.poll()
    watch.register(os.pidfd_open(owner), select.POLLIN)
    watch.poll()
    erase(run)
    shutil.rmtree(run.folder, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Run, metavar="FOLDER", help="the folder of the run")
    step = parser.add_subparsers(dest="step", required=True)
    step.add_parser("table", help="print the living members")
    step.add_parser("erase", help="end whatever is left, innocents too")
    step.add_parser("pause", help="wait for a signal")
    one = step.add_parser("ready", help="wait until the stack runs, and note its members")
    one.add_argument("ports", type=numbers)
    one.add_argument("seconds", type=float)
    one = step.add_parser("wreck", help="end the launching shell and the roots")
    one.add_argument("state")
    one = step.add_parser("clean", help="run a pipeline and judge what it left")
    one.add_argument("--keep-healthy", action="store_true", help="services that lead a session must live on")
    one.add_argument("--only-matching", action="store_true", help="judge only what one of the eleven patterns matches")
    one.add_argument("--ports", type=numbers, default=[])
    one.add_argument("command")
    one = step.add_parser("subreaper", help="run a command in a session of its own, and adopt what it leaves behind")
    one.add_argument("command", nargs="+")
    one = step.add_parser("tini", help="run a command below the child of a container's init, all in one session")
    one.add_argument("command", nargs="+")
    one = step.add_parser("free", help="fail when a port is taken")
    one.add_argument("ports", type=numbers)
    one = step.add_parser("janitor", help="clear away when the owner ends")
    one.add_argument("owner", type=int)
    asked = parser.parse_args()
    run = asked.folder
    if asked.step != "janitor":
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM)  # no step outlives the script that took it
    if asked.step == "table":
        table(scan(run))
    elif asked.step == "erase":
        left = erase(run)
        if left:
            print("stack: these could not be ended:", file=sys.stderr)
            table(left, sys.stderr)
        return bool(left)
    elif asked.step == "pause":
        signal.pause()
    elif asked.step == "ready":
        ready(run, asked.ports, asked.seconds)
    elif asked.step == "wreck":
        wreck(run, asked.state)
    elif asked.step == "clean":
        return not clean(run, asked.command, asked.keep_healthy, asked.only_matching, asked.ports)
    elif asked.step == "subreaper":
        subreaper(run, asked.command)
    elif asked.step == "tini":
        tini(run, asked.command)
    elif asked.step == "free":
        taken = [str(port) for port in asked.ports if not free(port)]
        if taken:
            sys.exit(f"stack: start: port {', '.join(taken)} taken; end its holder, or choose others with --ports")
    elif asked.step == "janitor":
        janitor(run, asked.owner)
    return 0


def numbers(text):
    return [int(number) for number in text.split(",")]


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main())
