/*
 * sweep: ends a tree as quickly as one look allows: reads the parent of every process once, then sends SIGTERM to the
 * root and all its descendants through pidfds.
 *
 *   sweep ROOT
 *
 * It exists to be compared with: it proves no identity, does not look again, and does not wait.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MOST = 4194304 };

static int parent[MOST + 1], pids[MOST + 1];
static signed char inside[MOST + 1];

static int parent_of(int proc, const char *pid)
{
	char path[40], line[4096];

	strcpy(stpcpy(path, pid), "/stat");
	int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	ssize_t got = read(fd, line, sizeof line - 1);
	close(fd);
	if (got <= 0)
		return 0;
	line[got] = 0;
	char *stop = strrchr(line, ')');
	return stop ? atoi(stop + 4) : 0;
}

int main(int argc, char **argv)
{
	int root = argc == 2 ? atoi(argv[1]) : 0, count = 0;
	DIR *folder = opendir("/proc");
	struct dirent *entry;

	if (root < 2 || root > MOST || !folder)
		return 2;
	while ((entry = readdir(folder))) {
		int pid = atoi(entry->d_name);
		if (pid > 0 && pid <= MOST) {
			parent[pid] = parent_of(dirfd(folder), entry->d_name);
			pids[count++] = pid;
		}
	}
	/* Each process is decided once: what is found on the way up is written down all the way. */
	inside[root] = 1;
	for (int at = 0; at < count; at++) {
		int up = pids[at];
		while (up > 0 && !inside[up])
			up = parent[up];
		int verdict = up > 0 && inside[up] > 0 ? 1 : -1;
		for (up = pids[at]; up > 0 && !inside[up]; up = parent[up])
			inside[up] = verdict;
	}
	for (int at = 0; at < count; at++) {
		if (inside[pids[at]] < 0)
			continue;
		int fd = syscall(SYS_pidfd_open, pids[at], 0);
		if (fd >= 0) {
			syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0);
			close(fd);
		}
	}
	return 0;
}
