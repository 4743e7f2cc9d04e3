/*
 * floor: the least that reading a process table takes, in one thread.
 *
 *   floor full    reads what pstree-json reads (identity, stat, command line, owner) and formats the same fields as
 *                 NDJSON, but knows no tree, trusts every file, and escapes nothing beyond what JSON demands
 *   floor PART+PART... ...
 *                 reads these parts of every process and does nothing with them; each argument is one look at all:
 *                 stat      the stat file: opens, reads, closes
 *                 cmdline   the command line, likewise
 *                 owner     who owns the folder of the process
 *                 watched   the identity: opens a pidfd, asks for its inode, and lets an epoll wait for its end
 *                 files     the table of open files: lists it, and reads every link in it
 *
 * It exists to be compared with. It is meant to be fast: no check that is not needed for a right answer on a quiet
 * system, no allocation in the loop, one write for each 64 KiB.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 64 << 10, ROOM = 3 << 20 };

static char out[BLOCK + ROOM], *end = out;
static char boot_id[37], host[256], user[256];
static uint64_t pid_ns, boot_ms, unix_ms;

static void flush(void)
{
	for (char *from = out; from < end;) {
		ssize_t n = write(1, from, end - from);
		if (n < 0)
			exit(3);
		from += n;
	}
	end = out;
}

#define LITERAL(text) (memcpy(end, text, sizeof text - 1), end += sizeof text - 1)

static void text(const char *from)
{
	size_t n = strlen(from);
	memcpy(end, from, n);
	end += n;
}

static void number(uint64_t n)
{
	char digits[20], *at = digits + sizeof digits;

	do
		*--at = '0' + n % 10;
	while (n /= 10);
	memcpy(end, at, digits + sizeof digits - at);
	end += digits + sizeof digits - at;
}

static void string(const char *from, size_t n)
{
	*end++ = '"';
	for (const char *stop = from + n; from < stop; from++) {
		unsigned char byte = *from;
		if (byte < 0x20)
			end += sprintf(end, "\\u%04x", byte);
		else {
			if (byte == '"' || byte == '\\')
				*end++ = '\\';
			*end++ = byte;
		}
	}
	*end++ = '"';
}

static void two(int n)
{
	*end++ = '0' + n / 10;
	*end++ = '0' + n % 10;
}

static void moment(uint64_t ms)
{
	static time_t day = -1;
	static char date[16];
	time_t seconds = ms / 1000;
	int left = seconds % 86400;

	if (seconds - left != day) {
		struct tm tm;
		day = seconds - left;
		strftime(date, sizeof date, "\"%Y-%m-%dT", gmtime_r(&day, &tm));
	}
	text(date);
	two(left / 3600), *end++ = ':';
	two(left / 60 % 60), *end++ = ':';
	two(left % 60), *end++ = '.';
	*end++ = '0' + ms / 100 % 10;
	two(ms % 100);
	LITERAL("Z\"");
}

static char *slurp(int proc, const char *pid, const char *name, char *buffer, size_t size, ssize_t *got)
{
	char path[40], *at = stpcpy(path, pid);

	*at++ = '/';
	strcpy(at, name);
	int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	*got = read(fd, buffer, size - 1);
	close(fd);
	if (*got < 0)
		return NULL;
	buffer[*got] = 0;
	return buffer;
}

/* The fields of a stat line from the fourth on; the three before them end at the last parenthesis. */
static void fields(char *at, uint64_t *field)
{
	for (int n = 4; n <= 24; n++) {
		while (*at == ' ')
			at++;
		uint64_t value = 0;
		int minus = *at == '-';
		for (at += minus; *at >= '0' && *at <= '9'; at++)
			value = value * 10 + (*at - '0');
		field[n] = minus ? 0 : value;
	}
}

static const char *owner(uid_t uid)
{
	static uid_t known = -1;

	if (uid != known) {
		struct passwd *entry = getpwuid(uid);
		snprintf(user, sizeof user, "%s", entry ? entry->pw_name : "");
		known = uid;
	}
	return user;
}

static void full(int proc, const char *pid)
{
	static char line[4096], arguments[2 << 20];
	uint64_t field[25];
	struct stat facts;
	ssize_t got, length = 0;
	int pidfd = syscall(SYS_pidfd_open, atoi(pid), 0);

	if (pidfd < 0)
		return;
	if (fstat(pidfd, &facts)) {
		close(pidfd);
		return;
	}
	close(pidfd);
	uint64_t inode = facts.st_ino;
	if (!slurp(proc, pid, "stat", line, sizeof line, &got))
		return;
	char *name = strchr(line, '('), *stop = strrchr(line, ')');
	if (!name || !stop)
		return;
	fields(stop + 3, field);
	int kernel = (field[9] & 0x00200000) != 0;
	if (!kernel && stop[2] != 'Z')
		slurp(proc, pid, "cmdline", arguments, sizeof arguments, &length);
	if (fstatat(proc, pid, &facts, 0))
		return;

	LITERAL("{\"type\":\"process\",\"v\":1,\"pid\":"), text(pid);
	LITERAL(",\"pidfd_inode\":"), number(inode);
	LITERAL(",\"start_ticks\":"), number(field[22]);
	LITERAL(",\"boot_id\":\""), text(boot_id);
	LITERAL("\",\"pid_ns\":"), number(pid_ns);
	LITERAL(",\"host\":\""), text(host);
	LITERAL("\",\"ppid\":"), number(field[4]);
	LITERAL(",\"pgid\":"), number(field[5]);
	LITERAL(",\"sid\":"), number(field[6]);
	if (field[7]) {
		LITERAL(",\"tty\":\"");
		number(field[7] >> 8), *end++ = ':', number(field[7] & 0xff);
		*end++ = '"';
	}
	LITERAL(",\"state\":\""), *end++ = stop[2];
	LITERAL("\",\"comm\":"), string(name + 1, stop - name - 1);
	if (kernel)
		LITERAL(",\"kernel_thread\":true");
	else {
		LITERAL(",\"cmdline\":[");
		for (char *at = arguments; at < arguments + length;) {
			size_t n = strnlen(at, arguments + length - at);
			if (at > arguments)
				*end++ = ',';
			string(at, n);
			at += n + 1;
		}
		*end++ = ']';
	}
	LITERAL(",\"uid\":"), number(facts.st_uid);
	LITERAL(",\"user\":\""), text(owner(facts.st_uid));
	LITERAL("\",\"threads\":"), number(field[20]);
	LITERAL(",\"rss_bytes\":"), number(field[24] * 4096);
	LITERAL(",\"cpu_ms\":"), number((field[14] + field[15]) * 10);
	uint64_t age = boot_ms - field[22] * 10;
	LITERAL(",\"started_at\":"), moment(unix_ms - age);
	LITERAL(",\"age_ms\":"), number(age);
	LITERAL("}\n");
	if (end - out >= BLOCK)
		flush();
}

/* Lists the open files of a process, and reads where each link leads. */
static void files(int proc, const char *pid)
{
	static char entries[8192], link[64];
	struct entry {
		uint64_t inode, next;
		unsigned short length;
		unsigned char type;
		char name[];
	};
	char path[40];
	long got;

	strcpy(stpcpy(path, pid), "/fd");
	int fd = openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return;
	while ((got = syscall(SYS_getdents64, fd, entries, sizeof entries)) > 0)
		for (char *at = entries; at < entries + got; at += ((struct entry *)at)->length) {
			const char *name = ((struct entry *)at)->name;
			if (*name != '.' && readlinkat(fd, name, link, sizeof link) < 0 && errno == EACCES)
				break;
		}
	close(fd);
}

static void parts(int proc, const char *pid, const char *wanted)
{
	static char buffer[2 << 20];
	struct stat facts;
	ssize_t got;

	if (strstr(wanted, "watched")) {
		static int epoll = -1;
		struct epoll_event event = { EPOLLIN, { .u64 = 0 } };
		int pidfd = syscall(SYS_pidfd_open, atoi(pid), 0);

		if (epoll < 0)
			epoll = epoll_create1(EPOLL_CLOEXEC);
		if (pidfd < 0 || fstat(pidfd, &facts) || epoll_ctl(epoll, EPOLL_CTL_ADD, pidfd, &event)) {
			perror("floor: watch");
			exit(3);
		}
	}
	if (strstr(wanted, "stat"))
		slurp(proc, pid, "stat", buffer, 4096, &got);
	if (strstr(wanted, "cmdline"))
		slurp(proc, pid, "cmdline", buffer, sizeof buffer, &got);
	if (strstr(wanted, "owner"))
		fstatat(proc, pid, &facts, 0);
	if (strstr(wanted, "files"))
		files(proc, pid);
}

static uint64_t clock_ms(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec * 1000ULL + now.tv_nsec / 1000000;
}

static void look(void)
{
	struct stat facts;
	FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");

	if (!file || fscanf(file, "%36s", boot_id) != 1 || stat("/proc/self/ns/pid", &facts))
		exit(3);
	fclose(file);
	gethostname(host, sizeof host - 1);
	pid_ns = facts.st_ino;
	boot_ms = clock_ms(CLOCK_BOOTTIME);
	unix_ms = clock_ms(CLOCK_REALTIME);
}

int main(int argc, char **argv)
{
	int everything = argc == 2 && !strcmp(argv[1], "full");
	DIR *folder = opendir("/proc");
	struct dirent *entry;

	if (argc < 2 || !folder)
		return 2;
	if (everything)
		look();
	struct rlimit files;
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	for (int at = 1; at < argc; at++, rewinddir(folder))
		while ((entry = readdir(folder))) {
			if (entry->d_name[0] < '0' || entry->d_name[0] > '9')
				continue;
			if (everything)
				full(dirfd(folder), entry->d_name);
			else
				parts(dirfd(folder), entry->d_name, argv[at]);
		}
	flush();
	return 0;
}
