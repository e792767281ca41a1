/* cell_proc.c - see cell_proc.h. Runs at the start, as root of the user namespace. */
#define _GNU_SOURCE
#include "start/cell_proc.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kernel/fork_into.h"
#include "paths.h"

#define STAGE "/proc"
#define ANCHOR STAGE "/anchor"
#define FILES STAGE "/files"
#define MASK_SIZE (CPU_SETSIZE / 32 * 9 + 1)

static int
failed(char *error, size_t size, const char *step)
{
	snprintf(error, size, "%s: %s", step, strerror(errno));
	return -1;
}

unsigned
cell_proc_processors(uint32_t cpu_percent)
{
	unsigned share = (cpu_percent + 99) / 100;
	cpu_set_t set;
	unsigned allowed = sched_getaffinity(0, sizeof set, &set) == 0 ? (unsigned)CPU_COUNT(&set) : 1;

	return cpu_percent > 0 && share < allowed ? share : allowed;
}

/* ---- the files ------------------------------------------------------------------------------- */

/* Whether the line begins with this key, and the colon that follows it. */
static bool
has_key(const char *line, const char *key)
{
	size_t length = strlen(key);

	return strncmp(line, key, length) == 0 && line[length + strspn(line + length, " \t")] == ':';
}

/*
 * One line of the host's cpuinfo, for processor `number` of `count`. What tells which of the host's
 * processors it is becomes the cell's own numbers.
 */
static void
write_cpuinfo_line(FILE *to, const char *line, unsigned number, unsigned count)
{
	static const char *const own[] = { "processor", "core id", "apicid", "initial apicid" };
	static const char *const all[] = { "siblings", "cpu cores" };
	int key = (int)strcspn(line, ":");

	for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
		if (has_key(line, own[i])) {
			fprintf(to, "%.*s: %u\n", key, line, number);
			return;
		}
	}
	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
		if (has_key(line, all[i])) {
			fprintf(to, "%.*s: %u\n", key, line, count);
			return;
		}
	}
	if (has_key(line, "physical id"))
		fprintf(to, "%.*s: 0\n", key, line);
	else
		fputs(line, to);
}

/* The blocks of the host's first `count` processors, and what follows the last block. */
static void
write_cpuinfo(FILE *to, FILE *from, unsigned count)
{
	char line[8192];
	unsigned seen = 0;

	while (fgets(line, sizeof line, from) != NULL) {
		if (has_key(line, "processor"))
			seen++;
		if (seen <= count)
			write_cpuinfo_line(to, line, seen == 0 ? 0 : seen - 1, count);
	}
}

/* Processors that have been idle since the boot: what they really did is the host's affair. */
static void
write_stat(FILE *to, unsigned count)
{
	struct timespec now, up;
	unsigned long long ticks;

	clock_gettime(CLOCK_REALTIME, &now);
	clock_gettime(CLOCK_BOOTTIME, &up);
	ticks = (unsigned long long)up.tv_sec * (unsigned long long)sysconf(_SC_CLK_TCK);
	fprintf(to, "cpu  0 0 0 %llu 0 0 0 0 0 0\n", ticks * count);
	for (unsigned i = 0; i < count; i++)
		fprintf(to, "cpu%u 0 0 0 %llu 0 0 0 0 0 0\n", i, ticks);
	fprintf(to, "intr 0\nctxt 0\nbtime %lld\nprocesses 1\nprocs_running 1\nprocs_blocked 0\n",
	    (long long)(now.tv_sec - up.tv_sec));
}

/* Open a file of the files for writing. Returns NULL with errno. */
static FILE *
create(int directory_fd, const char *name)
{
	int fd = openat(directory_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "w");

	if (file == NULL && fd >= 0)
		close(fd);
	return file;
}

/* Close a file that was written. Returns 0, or -1 with errno. */
static int
finish(FILE *file)
{
	int result = ferror(file) ? -1 : 0;

	return fclose(file) != 0 ? -1 : result;
}

static int
make_cpuinfo(int directory_fd, int proc_fd, unsigned processors)
{
	int from_fd = openat(proc_fd, "cpuinfo", O_RDONLY | O_CLOEXEC);
	FILE *from = from_fd < 0 ? NULL : fdopen(from_fd, "r");
	FILE *to = from == NULL ? NULL : create(directory_fd, PROC_FILE_CPUINFO);

	if (to != NULL)
		write_cpuinfo(to, from, processors);
	if (from != NULL)
		fclose(from);
	else if (from_fd >= 0)
		close(from_fd);
	return to == NULL ? -1 : finish(to);
}

static int
make_stat(int directory_fd, unsigned processors)
{
	FILE *to = create(directory_fd, PROC_FILE_STAT);

	if (to == NULL)
		return -1;
	write_stat(to, processors);
	return finish(to);
}

static int
make_loadavg(int directory_fd)
{
	FILE *to = create(directory_fd, PROC_FILE_LOADAVG);

	if (to == NULL)
		return -1;
	fputs("0.00 0.00 0.00 1/1 2\n", to);
	return finish(to);
}

static int
make_memory_files(int directory_fd, uint32_t cells)
{
	char name[32];

	for (uint32_t i = 0; i < cells; i++) {
		int fd;

		snprintf(name, sizeof name, PROC_FILE_MEMINFO, (unsigned)i);
		fd = openat(directory_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
		if (fd < 0)
			return -1;
		close(fd);
	}
	return 0;
}

/* ---- the anchor ------------------------------------------------------------------------------ */

/*
 * A procfs belongs to the pid namespace of the process that mounts it. This one's only process ends
 * at once. Returns 0, or -1 with errno.
 */
static int
mount_anchor(void)
{
	pid_t pid = fork_into(CLONE_NEWPID);
	int status;

	if (pid == 0)
		_exit(mount("proc", ANCHOR, "proc", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, "hidepid=2,subset=pid") != 0 ?
		        errno :
		        0);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	errno = WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
	return errno == 0 ? 0 : -1;
}

int
cell_proc_make(struct cell_proc *proc, int proc_fd, uint32_t cells, int *files_fd, char *error, size_t size)
{
	mode_t old_mask = umask(0);
	int result = -1;

	*files_fd = -1;
	if (mount("cellblock", STAGE, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=755") != 0 || mkdir(ANCHOR, 0755) != 0 ||
	    mkdir(FILES, 0755) != 0)
		failed(error, size, "mount a tmpfs");
	else if (mount_anchor() != 0)
		failed(error, size, "mount a procfs");
	else if ((*files_fd = open(FILES, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0 ||
	    make_cpuinfo(*files_fd, proc_fd, proc->processors) != 0 || make_stat(*files_fd, proc->processors) != 0 ||
	    make_loadavg(*files_fd) != 0 || make_memory_files(*files_fd, cells) != 0)
		failed(error, size, "write its files");
	else
		result = 0;
	umask(old_mask);
	proc->anchor = ANCHOR;
	proc->files = FILES;
	return result;
}

/* ---- in a root ------------------------------------------------------------------------------- */

static int
bind_parts(const struct cell_proc *proc)
{
	const unsigned long flags = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;

	return mount(proc->anchor, &PATH_PROC[1], NULL, MS_BIND, NULL) != 0 ||
	        mount(proc->files, &PATH_TMP[1], NULL, MS_BIND, NULL) != 0 ||
	        mount(NULL, &PATH_TMP[1], NULL, MS_REMOUNT | MS_BIND | flags, NULL) != 0 ?
	    -1 :
	    0;
}

/* Write a file of one line. Returns 0, or -1 with errno. */
static int
write_line(int directory_fd, const char *name, const char *line)
{
	FILE *file = create(directory_fd, name);

	if (file == NULL)
		return -1;
	fprintf(file, "%s\n", line);
	return finish(file);
}

/* Processors `first` to `last` as a mask, in words of 32 bits. */
static const char *
mask_of(unsigned first, unsigned last, char text[MASK_SIZE])
{
	size_t size = 0;

	for (unsigned word = last / 32 + 1; word-- > 0;) {
		uint32_t bits = 0;

		for (unsigned bit = 0; bit < 32; bit++)
			bits |= word * 32 + bit >= first && word * 32 + bit <= last ? UINT32_C(1) << bit : 0;
		size += (size_t)snprintf(text + size, MASK_SIZE - size, "%s%0*" PRIx32, size > 0 ? "," : "", size > 0 ? 8 : 1,
		    bits);
	}
	return text;
}

/* Each processor is a core of one thread; all of them are in one socket. */
static int
write_topology(int directory_fd, unsigned number, unsigned count)
{
	char path[32], id[16], mask[MASK_SIZE];
	int fd, result;

	snprintf(path, sizeof path, "cpu%u", number);
	if (mkdirat(directory_fd, path, 0755) != 0)
		return -1;
	snprintf(path, sizeof path, "cpu%u/topology", number);
	if (mkdirat(directory_fd, path, 0755) != 0 || (fd = openat(directory_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		return -1;
	snprintf(id, sizeof id, "%u", number);
	result = write_line(fd, "core_id", id) != 0 || write_line(fd, "physical_package_id", "0") != 0 ||
	        write_line(fd, "thread_siblings", mask_of(number, number, mask)) != 0 ||
	        write_line(fd, "core_siblings", mask_of(0, count - 1, mask)) != 0 ?
	    -1 :
	    0;
	close(fd);
	return result;
}

/* The files of which libc and lscpu(1) learn which processors there are. */
static int
write_processors(unsigned count)
{
	static const char *const directories[] = { "sys", "sys/devices", "sys/devices/system", "sys/devices/system/cpu" };
	static const char *const files[] = { "online", "possible", "present" };
	char range[32] = "0";
	int fd, result = 0;

	for (size_t i = 0; i < sizeof directories / sizeof directories[0]; i++) {
		if (mkdir(directories[i], 0755) != 0)
			return -1;
	}
	fd = open(directories[sizeof directories / sizeof directories[0] - 1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	if (count > 1)
		snprintf(range, sizeof range, "0-%u", count - 1);
	for (size_t i = 0; result == 0 && i < sizeof files / sizeof files[0]; i++)
		result = write_line(fd, files[i], range);
	for (unsigned i = 0; result == 0 && i < count; i++)
		result = write_topology(fd, i, count);
	close(fd);
	return result;
}

int
cell_proc_place(const struct cell_proc *proc)
{
	return (proc->anchor != NULL && bind_parts(proc) != 0) || write_processors(proc->processors) != 0 ? -1 : 0;
}
