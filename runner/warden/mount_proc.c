/*
 * mount_proc.c - see mount_proc.h. Runs in the init of a cell, which shares the warden's memory.
 *
 * A procfs has some fifty files about the machine, and which of them depends on the kernel. So none
 * is masked: all are hidden but those of the list. The option subset=pid hides every name that is
 * not looked up yet. A name that was looked up before, and is held, stays: as the place of a mount,
 * as an open file, or as a working directory. The kernel forgets all others when the option is set.
 */
#define _GNU_SOURCE
#include "warden/mount_proc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <unistd.h>

#include "paths.h"

/*
 * Read-only: nothing in it can be set, not in /proc/sys and not of a process. hidepid=2: a process
 * that may not be looked at does not exist. That is the init, whose command line is the warden's.
 */
#define FLAGS (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC)
#define OPTIONS "hidepid=2"

/* Links, and files that tell what every program may know by uname(2) and clock_gettime(2). */
static const char *const kept[] = { PATH_PROC "/mounts", PATH_PROC "/net", PATH_PROC "/filesystems", PATH_PROC "/uptime",
	PATH_PROC "/version" };

/* Files of ours in the place of those that tell of the host. */
static const char *const replaced[][2] = {
	{ PATH_TMP "/" PROC_FILE_CPUINFO, PATH_PROC "/cpuinfo" },
	{ PATH_TMP "/" PROC_FILE_STAT, PATH_PROC "/stat" },
	{ PATH_TMP "/" PROC_FILE_LOADAVG, PATH_PROC "/loadavg" },
};

static int
replace_files(uint32_t number)
{
	char memory[64];

	for (size_t i = 0; i < sizeof replaced / sizeof replaced[0]; i++) {
		if (mount(replaced[i][0], replaced[i][1], NULL, MS_BIND, NULL) != 0)
			return -1;
	}
	snprintf(memory, sizeof memory, PATH_TMP "/" PROC_FILE_MEMINFO, (unsigned)number);
	return mount(memory, PATH_PROC "/meminfo", NULL, MS_BIND, NULL);
}

/* A kernel may have been built without one of them. */
static int
keep_files(void)
{
	for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
		if (open(kept[i], O_PATH | O_NOFOLLOW | O_CLOEXEC) < 0 && errno != ENOENT)
			return -1;
	}
	return chdir(PATH_PROC "/sys") != 0 && errno != ENOENT ? -1 : 0;
}

int
mount_proc(uint32_t number)
{
	if (mount("proc", PATH_PROC, "proc", FLAGS, OPTIONS) != 0 || replace_files(number) != 0 || keep_files() != 0)
		return -1;
	return mount(NULL, PATH_PROC, NULL, MS_REMOUNT | FLAGS, OPTIONS ",subset=pid");
}
