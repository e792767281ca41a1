/*
 * hook.c - makes a zygote, or a spare guest, of any interpreter.
 *
 * LD_PRELOAD loads it into the interpreter. Interpreters first prepare themselves and open the main
 * file late. The first open(2) of that name is where this code comes in. In a zygote, guests are
 * forked there, and each returns from the open(2) to read a program of its own. A spare is such a
 * guest already, with an interpreter to itself. A guest reports that it is ready, waits for its
 * run, puts up its last walls, and writes the program to where it was about to be read. From then
 * on this code passes every call on to libc.
 *
 * A program can find this library in its memory. It gains nothing: the library holds nothing open.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
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
#include "guest/zygote.h"
#include "paths.h"

#define EXPORT __attribute__((visibility("default")))

static enum { PASSING_ON, ZYGOTE, SPARE } role;

/* Runs before the interpreter's main(), while there is one thread. */
static void __attribute__((constructor)) begin(void)
{
	const char *hook = getenv(HOOK_VARIABLE);
	char *imports;

	guest_has_interpreter = true;
	role = hook != NULL && strcmp(hook, HOOK_SPARE) == 0 ? SPARE : ZYGOTE;
	unsetenv("LD_PRELOAD");
	unsetenv("LD_BIND_NOW");
	unsetenv(HOOK_VARIABLE);
	if (role == SPARE && (guest_resume(&zygote_walls) != 0 || zygote_read_setup(&imports) != 0))
		guest_fail("resume in a spare interpreter");
	if (role == ZYGOTE && zygote_begin(&imports) != 0) {
		zygote_report_failure("", "read the zygote's setup");
		_exit(1);
	}
	free(imports);
}

/* Returns in each guest. */
static void
fork_guests(void)
{
	const char *failed = zygote_wall_in(false);

	if (failed != NULL && errno == EBUSY) {
		zygote_report(EBUSY, "", "the interpreter has a second thread");
		_exit(1);
	}
	if (failed != NULL) {
		zygote_report_failure("", failed);
		_exit(1);
	}
	zygote_report(0, "", "");
	zygote_make_guests();
}

/*
 * The run's time is up. If the program is inside of libc's streams right now, this may fail in any
 * way: the process would be killed anyhow.
 */
static void
write_last_words(int number)
{
	(void)number;
	fflush(NULL); /* NOLINT(bugprone-signal-handler,cert-sig30-c): see above */
	_exit(1);
}

static void
wait_for_program(void)
{
	struct job_header head;
	size_t size;
	const char *code;

	signal(GUEST_LAST_WORDS, write_last_words);
	guest_report_ready();
	code = guest_map_job(guest_receive_run(), &head, &size);
	/*
	 * An interpreter that has started takes no arguments any more. Such runs have cells of
	 * their own.
	 */
	if (head.argc != 0 || head.envc != 0 || head.main_bytes != 0) {
		errno = EINVAL;
		guest_fail("give arguments to a started interpreter");
	}
	guest_refuse_any_needs(&head);
	if (!guest_write_program(zygote_setup.main_file, &head, code)) {
		fprintf(stderr, "%s: %s\n", zygote_setup.main_file, strerror(errno));
		_exit(EXIT_NOT_STARTED);
	}
	munmap((void *)(code - sizeof head), size);
	guest_close_control();
}

static bool
is_main_file(const char *path)
{
	static const char box[] = PATH_BOX "/";

	if (strncmp(path, box, strlen(box)) == 0)
		path += strlen(box);
	return strcmp(path, zygote_setup.main_file) == 0;
}

/* Called with each path that is opened. */
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

/* Read the mode, an argument that is there only if open(2) may create a file. */
#define MODE_OF(flags, mode) \
	do { \
		va_list args; \
		if (((flags)&O_CREAT) != 0 || ((flags)&O_TMPFILE) == O_TMPFILE) { \
			va_start(args, flags); \
			mode = va_arg(args, mode_t); \
			va_end(args); \
		} \
	} while (0)

/* Replace libc's functions. On 64-bit systems all of them do the same. */
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

/* libc's own fopen calls libc's own open(2). */
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
