/*
 * hook.c - makes a zygote, or a spare, of any interpreter.
 *
 * Loaded into the interpreter by LD_PRELOAD. Interpreters prepare themselves first and open the main file late. The first
 * open(2) of that name is where ours comes in. In a zygote it is where guests are forked, and each returns from the
 * open(2) to read a program of its own; a spare is such a guest already, with an interpreter to itself. A guest says that
 * it is ready, waits for its run, takes its last walls, and has the program written where it was just about to be read.
 * From then on this passes every call on.
 *
 * That a program can find this library in its memory gives it nothing: all that it held is closed.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guest/guest.h"
#include "guest/hook.h"
#include "paths.h"

#define EXPORT __attribute__((visibility("default")))

static enum { PASSING_ON, ZYGOTE, SPARE } role;

/* Runs before the interpreter's main(), while there is one thread. */
static void __attribute__((constructor))
begin(void)
{
	const char *hook = getenv(HOOK_VARIABLE);

	char *imports;

	guest_has_interpreter = true;
	role = hook != NULL && strcmp(hook, HOOK_SPARE) == 0 ? SPARE : ZYGOTE;
	unsetenv("LD_PRELOAD");
	unsetenv("LD_BIND_NOW");
	unsetenv(HOOK_VARIABLE);
	if ((role == SPARE && guest_resume() != 0) || zygote_read_setup(&imports) != 0)
		_exit(127);
	free(imports);
}

/* Returns in each guest. */
static void
fork_guests(void)
{
	if (zygote_wall_in(false) != 0) {
		zygote_report(errno, "", errno == EBUSY ? "the interpreter has a second thread" : strerror(errno));
		_exit(1);
	}
	zygote_report(0, "", "");
	zygote_make_guests();
}

static void
wait_for_program(void)
{
	struct job_header head;
	size_t size;
	const char *code;

	guest_report_ready();
	code = guest_map_job(guest_receive_run(), &head, &size);
	/* Arguments and environment cannot be given to an interpreter that has started; such runs have cells of their own. */
	if (head.argc != 0 || head.envc != 0)
		_exit(127);
	if (!guest_write_program(&head, code)) {
		fprintf(stderr, "%s: %s\n", zygote_setup.main_file, strerror(errno));
		_exit(127);
	}
	munmap((void *)(code - sizeof head), size);
}

static bool
is_main_file(const char *path)
{
	static const char box[] = PATH_BOX "/";

	if (strncmp(path, box, strlen(box)) == 0)
		path += strlen(box);
	return strcmp(path, zygote_setup.main_file) == 0;
}

/* Called with every path that is opened. */
static void
look_at(const char *path)
{
	bool is_zygote = role == ZYGOTE;

	if (role == PASSING_ON || path == NULL || !is_main_file(path))
		return;
	role = PASSING_ON;
	if (is_zygote)
		fork_guests();
	wait_for_program();
}

static int
open_at(int dir, const char *path, int flags, mode_t mode)
{
	look_at(path);
	return (int)syscall(SYS_openat, dir, path, flags, mode);
}

/* The mode, which is there only where a file may be made. */
#define MODE_OF(flags, mode)                                                                                           \
	do {                                                                                                           \
		va_list args;                                                                                          \
		if (((flags) & O_CREAT) != 0 || ((flags) & O_TMPFILE) == O_TMPFILE) {                                  \
			va_start(args, flags);                                                                         \
			mode = va_arg(args, mode_t);                                                                   \
			va_end(args);                                                                                  \
		}                                                                                                      \
	} while (0)

/* What libc has under these names; all of them are the same on systems of 64 bits. */
EXPORT int open(const char *path, int flags, ...);
EXPORT int open64(const char *path, int flags, ...);
EXPORT int openat(int dir, const char *path, int flags, ...);
EXPORT int openat64(int dir, const char *path, int flags, ...);
EXPORT int __open_2(const char *path, int flags);
EXPORT int __open64_2(const char *path, int flags);
EXPORT int __openat_2(int dir, const char *path, int flags);
EXPORT int __openat64_2(int dir, const char *path, int flags);
EXPORT FILE *fopen(const char *path, const char *how);
EXPORT FILE *fopen64(const char *path, const char *how);

int
open(const char *path, int flags, ...)
{
	mode_t mode = 0;

	MODE_OF(flags, mode);
	return open_at(AT_FDCWD, path, flags, mode);
}

int
open64(const char *path, int flags, ...)
{
	mode_t mode = 0;

	MODE_OF(flags, mode);
	return open_at(AT_FDCWD, path, flags, mode);
}

int
openat(int dir, const char *path, int flags, ...)
{
	mode_t mode = 0;

	MODE_OF(flags, mode);
	return open_at(dir, path, flags, mode);
}

int
openat64(int dir, const char *path, int flags, ...)
{
	mode_t mode = 0;

	MODE_OF(flags, mode);
	return open_at(dir, path, flags, mode);
}

int
__open_2(const char *path, int flags)
{
	return open_at(AT_FDCWD, path, flags, 0);
}

int
__open64_2(const char *path, int flags)
{
	return open_at(AT_FDCWD, path, flags, 0);
}

int
__openat_2(int dir, const char *path, int flags)
{
	return open_at(dir, path, flags, 0);
}

int
__openat64_2(int dir, const char *path, int flags)
{
	return open_at(dir, path, flags, 0);
}

/* libc's own, which has no open(2) of ours in it. */
static FILE *
real_fopen(const char *path, const char *how)
{
	static FILE *(*real)(const char *, const char *);

	if (real == NULL)
		*(void **)&real = dlsym(RTLD_NEXT, "fopen");
	return real(path, how);
}

FILE *
fopen(const char *path, const char *how)
{
	look_at(path);
	return real_fopen(path, how);
}

FILE *
fopen64(const char *path, const char *how)
{
	look_at(path);
	return real_fopen(path, how);
}
