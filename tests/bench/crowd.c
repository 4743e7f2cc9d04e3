/*
 * crowd: makes many idle processes, each with arguments of its own, and ends them when standard input closes.
 *
 *   crowd SHAPE N ORPHANS POLITE CGROUP ARGUMENT... ________-0000000
 *
 * SHAPE is wide (one parent), chain (each the parent of the next) or bushy (eight children each). POLITE is 1, or 0 for
 * members that ignore SIGTERM. CGROUP is a folder that the members move to, or -. Every member overwrites the last
 * argument with $CROWD_MARK (eight letters) and its own number; so the mark is in its command line and not in ours.
 * ORPHANS more processes lose their parent on purpose and carry the mark "orphaned".
 *
 * Writes "ready PID" (of the root) when all are there, and "gone NANOSECONDS" (CLOCK_MONOTONIC) when the last has ended.
 * We are a subreaper that ignores SIGCHLD, so the kernel reaps whatever is left to us at once and we cost nothing.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MARK = 8, DIGITS = 7, FAN = 8 };

static char *title;	/* the last argument, in the memory that the kernel shows as our command line */
static const char *shape;
static int count, polite, announce;
static char **arguments;

static void die(const char *what)
{
	fprintf(stderr, "crowd: %s: %s\n", what, strerror(errno));
	exit(3);
}

static void rename_self(const char *mark, int number)
{
	memcpy(title, mark, MARK);
	for (int at = MARK + DIGITS; at > MARK; at--, number /= 10)
		title[at] = '0' + number % 10;
}

static void stay(void)
{
	pid_t self = getpid();

	if (!polite)
		signal(SIGTERM, SIG_IGN);
	/* Only the group that a crash of ours leaves behind matters; the number is written whole, a pipe sees to that. */
	if (write(announce, &self, sizeof self) != sizeof self)
		_exit(3);
	close(announce);
	for (;;)
		pause();
}

/*
 * Executes ourselves as member `number`. Memory that was forked again and again, thousands of generations deep, makes
 * every fork and exit slow; no real chain of processes does that.
 */
static void begin_anew(int number)
{
	char text[40];

	snprintf(text, sizeof text, "%d %d", number, announce);
	setenv("CROWD_MEMBER", text, 1);
	execv("/proc/self/exe", arguments);
	die("exec");
}

/* Becomes member `number`: makes the children that the shape asks for, announces itself and stays. */
static void member(int number)
{
	int first, last;

	for (;;) {
		rename_self(getenv("CROWD_MARK"), number);
		if (!strcmp(shape, "chain"))
			first = number + 1, last = number + 1;
		else if (!strcmp(shape, "bushy"))
			first = number * FAN + 1, last = number * FAN + FAN;
		else
			first = 1, last = number == 0 ? count - 1 : 0;
		int child = -1;

		for (int next = first; next <= last && next < count; next++) {
			pid_t pid = fork();
			if (pid < 0)
				die("fork");
			if (pid == 0) {
				child = next;
				break;
			}
		}
		if (child < 0)
			stay();
		number = child;
		if (!strcmp(shape, "chain"))
			begin_anew(number);
	}
}

static void enter(const char *cgroup)
{
	char path[4096];

	if (!strcmp(cgroup, "-"))
		return;
	snprintf(path, sizeof path, "%s/cgroup.procs", cgroup);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "0", 1) != 1)
		die(path);
	close(fd);
}

/* A leader of a session starts a member of it and ends: the member is left to us. */
static void orphan(int number)
{
	pid_t leader = fork();

	if (leader < 0)
		die("fork");
	if (leader > 0)
		return;
	setsid();
	if (fork() == 0) {
		rename_self("orphaned", number);
		stay();
	}
	_exit(0);
}

int main(int argc, char **argv)
{
	int ready[2], life[2];

	if (argc < 7 || strlen(argv[argc - 1]) != MARK + 1 + DIGITS || !getenv("CROWD_MARK")
	    || strlen(getenv("CROWD_MARK")) != MARK) {
		fputs("crowd: read options: see the source\n", stderr);
		return 2;
	}
	shape = argv[1];
	count = atoi(argv[2]);
	int orphans = atoi(argv[3]);
	polite = atoi(argv[4]);
	title = argv[argc - 1];
	arguments = argv;
	int number;
	if (getenv("CROWD_MEMBER") && sscanf(getenv("CROWD_MEMBER"), "%d %d", &number, &announce) == 2)
		member(number);
	if (pipe(ready) || pipe(life))
		die("pipe");
	announce = ready[1];
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	signal(SIGCHLD, SIG_IGN);
	signal(SIGINT, SIG_IGN);

	pid_t root = fork();
	if (root < 0)
		die("fork");
	if (root == 0) {
		close(ready[0]);
		close(life[0]);
		close(0);
		close(1);
		signal(SIGINT, SIG_DFL);
		setpgid(0, 0);
		enter(argv[5]);
		member(0);
	}
	setpgid(root, root);
	pid_t *lost = calloc(orphans + 1, sizeof *lost);
	for (int number = 0; number < orphans; number++)
		orphan(number);
	close(ready[1]);
	close(life[1]);

	int there = 0, found = 0;
	pid_t pid;
	while (there < count + orphans && read(ready[0], &pid, sizeof pid) == sizeof pid) {
		there++;
		if (getpgid(pid) != root && found < orphans)
			lost[found++] = pid;
	}
	if (there < count + orphans) {
		kill(-root, SIGKILL);
		errno = EAGAIN;
		die("start members");
	}
	printf("ready %d\n", root);
	fflush(stdout);

	struct pollfd wait[2] = { { 0, POLLIN, 0 }, { life[0], POLLIN, 0 } };
	while (poll(wait, 2, -1) < 0 && errno == EINTR)
		;
	if (!wait[1].revents) {
		kill(-root, SIGKILL);
		for (int at = 0; at < found; at++)
			kill(lost[at], SIGKILL);
		poll(wait + 1, 1, -1);
	}
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		;
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	printf("gone %lld\n", now.tv_sec * 1000000000LL + now.tv_nsec);
	return 0;
}
