"""Processes as /proc shows them. One is its pid and its start time, and is signalled through a pidfd only."""

import contextlib
import os
import signal
import time

PAGE = os.sysconf("SC_PAGE_SIZE")


def slurp(pid, name):
    with open(f"/proc/{pid}/{name}", "rb") as file:
        return file.read()


def stat(pid):
    """What /proc/PID/stat says; the name may hold spaces and parentheses, so the fields start after the last one."""
    head, _, tail = slurp(pid, "stat").rpartition(b")")
    field = tail.split()
    return {
        "pid": int(pid),
        "comm": head.partition(b"(")[2].decode(errors="replace"),
        "state": field[0].decode(),
        "ppid": int(field[1]),
        "pgid": int(field[2]),
        "sid": int(field[3]),
        "threads": int(field[17]),
        "start": int(field[19]),
        "rss": int(field[21]) * PAGE,
    }


def dead(process):
    """Whether it has ended. A zombie has: some init processes reap late. One with threads is only half dead."""
    return process["state"] == "X" or process["state"] == "Z" and process["threads"] < 2


def key(process):
    return f"{process['pid']}:{process['start']}"


def link(pid, name):
    try:
        return os.readlink(f"/proc/{pid}/{name}")
    except OSError:
        return ""


def inside(path, folder):
    return path == folder or path.startswith(folder + "/")


def environment(pid):
    try:
        pairs = slurp(pid, "environ").split(b"\0")
    except OSError:
        return {}
    return dict(pair.decode(errors="replace").partition("=")[::2] for pair in pairs)


@contextlib.contextmanager
def held(pid, start):
    """A pidfd of exactly this process, or None when it is gone."""
    try:
        descriptor = os.pidfd_open(int(pid))
    except ProcessLookupError:
        yield None
        return
    try:
        same = stat(pid)["start"] == int(start)
    except (FileNotFoundError, ProcessLookupError):
        same = False
    try:
        yield descriptor if same else None
    finally:
        os.close(descriptor)


def send(process, number):
    with held(process["pid"], process["start"]) as descriptor:
        if descriptor is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(descriptor, number)


def commandline(pid):
    return slurp(pid, "cmdline").rstrip(b"\0").replace(b"\0", b" ").decode(errors="replace")


def until(deadline, condition):
    """Asks until the answer is true; the last answer when the deadline is over."""
    while True:
        answer = condition()
        if answer or time.monotonic() > deadline:
            return answer
        time.sleep(0.05)


def own_line():
    """The pids of this process and of its ancestors."""
    line, pid = set(), os.getpid()
    while pid > 0:
        line.add(pid)
        pid = stat(pid)["ppid"]
    return line
