/* fuzz.c - see fuzz.h. Also replaces common/log.c: messages are formatted, and then discarded. */
#define _GNU_SOURCE
#include "fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"

#define DESCRIPTORS 96
#define LEAK_TIMES 4 /* the memory grows this often in a row with the same input: a leak */
#define FILES 4

void
fuzz_fail(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: this is not true: %s\n", file, line, what);
	abort();
}

bool
fuzz_is_utf8(const char *text, size_t size)
{
	const unsigned char *p = (const unsigned char *)text;

	for (size_t i = 0; i < size;) {
		static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
		size_t length = p[i] < 0x80 ? 1 : p[i] >> 5 == 6 ? 2 : p[i] >> 4 == 14 ? 3 : p[i] >> 3 == 30 ? 4 : 0;
		uint32_t c = length == 1 ? p[i] : p[i] & (0x7fu >> length);

		if (length == 0 || size - i < length)
			return false;
		for (size_t k = 1; k < length; k++) {
			if (p[i + k] >> 6 != 2)
				return false;
			c = c << 6 | (p[i + k] & 0x3f);
		}
		if (c < least[length] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
			return false;
		i += length;
	}
	return true;
}

static struct pollfd before[DESCRIPTORS];
static size_t allocated_before;
static bool library_leaked;

/* Provided by AddressSanitizer, if the program has it. */
size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

/*
 * This file checks for leaks, after each input. And little is allocated, so a small quarantine is
 * enough.
 */
const char *__asan_default_options(void);
const char *
__asan_default_options(void)
{
	return "detect_leaks=0:quarantine_size_mb=8:malloc_context_size=4";
}

static size_t
allocated(void)
{
	return __sanitizer_get_current_allocated_bytes != NULL ? __sanitizer_get_current_allocated_bytes() : 0;
}

static void
look(struct pollfd *all)
{
	for (int i = 0; i < DESCRIPTORS; i++)
		all[i] = (struct pollfd){ .fd = i };
	while (poll(all, DESCRIPTORS, 0) < 0)
		must(errno == EINTR);
}

void
fuzz_begin(void)
{
	look(before);
	library_leaked = false;
	allocated_before = allocated();
}

void
fuzz_forgive_leak(void)
{
	library_leaked = true;
}

bool
fuzz_end(void)
{
	static int times;
	struct pollfd after[DESCRIPTORS];
	bool grown = !library_leaked && allocated() > allocated_before;

	/*
	 * A single increase may be a buffer that a library keeps, or the start of libFuzzer's other
	 * thread.
	 */
	times = grown ? times + 1 : 0;
	must(times < LEAK_TIMES);
	look(after);
	for (int i = 0; i < DESCRIPTORS; i++) {
		if ((after[i].revents & POLLNVAL) == (before[i].revents & POLLNVAL))
			continue;
		fprintf(stderr, "descriptor %d was %s\n", i, (after[i].revents & POLLNVAL) != 0 ? "closed" : "left open");
		abort();
	}
	return !grown;
}

/* ---- files ------------------------------------------------------------------------------------------------------ */

static char folder[32];
static char paths[FILES][64];
static size_t path_count;
static pid_t owner;

static void
remove_folder(void)
{
	if (getpid() != owner)
		return;
	for (size_t i = path_count; i-- > 0;)
		remove(paths[i]);
	rmdir(folder);
}

const char *
fuzz_folder(void)
{
	if (folder[0] == '\0') {
		strcpy(folder, access("/dev/shm", W_OK) == 0 ? "/dev/shm/fuzz.XXXXXX" : "/tmp/fuzz.XXXXXX");
		must(mkdtemp(folder) != NULL);
		owner = getpid();
		must(atexit(remove_folder) == 0);
	}
	return folder;
}

const char *
fuzz_file(const char *name, int *fd)
{
	char *path = paths[path_count++];

	must(path_count <= FILES);
	snprintf(path, sizeof paths[0], "%s/%s", fuzz_folder(), name);
	if (fd != NULL)
		must((*fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600)) >= 0);
	else
		must(mkdir(path, 0700) == 0);
	return path;
}

void
fuzz_write(int fd, const uint8_t *data, size_t size)
{
	must(pwrite(fd, data, size, 0) == (ssize_t)size && ftruncate(fd, (off_t)size) == 0);
}

bool
fuzz_next_part(const uint8_t **data, size_t *size, const uint8_t **part, size_t *part_size)
{
	const uint8_t *end;

	if (*data == NULL)
		return false;
	end = memmem(*data, *size, "\n%%\n", 4);
	*part = *data;
	*part_size = end != NULL ? (size_t)(end - *data) + 1 : *size;
	*data = end != NULL ? end + 4 : NULL;
	*size -= end != NULL ? *part_size + 3 : *size;
	return true;
}

/* ---- log.h ------------------------------------------------------------------------------------------------------ */

static void __attribute__((format(printf, 1, 0))) write_line(const char *format, va_list args)
{
	char line[1024];

	vsnprintf(line, sizeof line, format, args);
}

void
log_open(const char *program)
{
	(void)program;
}

void
log_never_wait(void)
{
}

void
log_write(const char *line, size_t size)
{
	must(size > 0 && line[size - 1] == '\n' && fuzz_is_utf8(line, size));
}

void
log_info(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	write_line(format, args);
	va_end(args);
}

void
log_warn(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	write_line(format, args);
	va_end(args);
}

/* No input may end a daemon. */
void
die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	abort();
}
