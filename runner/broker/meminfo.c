/* meminfo.c - see meminfo.h. */
#define _GNU_SOURCE
#include "broker/meminfo.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "paths.h"

#define USED_PART 64 /* of the memory: 4 of 256 MiB, about what an interpreter has */

/*
 * Those that programs look up. The file stays as it is while the run goes on: it tells what a
 * program has at its start.
 */
static const struct {
	const char *name;
	enum { NONE, FREE, USED, ALL } part; /* of the memory of the run */
} rows[] = {
	{ "MemTotal", ALL },
	{ "MemFree", FREE },
	{ "MemAvailable", FREE },
	{ "Buffers", NONE },
	{ "Cached", NONE },
	{ "SwapCached", NONE },
	{ "Active", USED },
	{ "Inactive", NONE },
	{ "SwapTotal", NONE },
	{ "SwapFree", NONE },
	{ "Dirty", NONE },
	{ "Writeback", NONE },
	{ "AnonPages", USED },
	{ "Mapped", NONE },
	{ "Shmem", NONE },
	{ "Slab", NONE },
	{ "SReclaimable", NONE },
	{ "SUnreclaim", NONE },
	{ "CommitLimit", ALL },
	{ "Committed_AS", USED },
};

int
meminfo_write(int directory_fd, uint32_t number, uint64_t bytes)
{
	const unsigned long long all = bytes / 1024, used = all / USED_PART;
	const unsigned long long kib[] = { [NONE] = 0, [FREE] = all - used, [USED] = used, [ALL] = all };
	char name[32], text[1024];
	size_t size = 0;
	ssize_t n;
	int fd;

	/* Each line has the same length as ever, so the text replaces the earlier one. */
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		size += (size_t)snprintf(text + size, sizeof text - size, "%s:%*llu kB\n", rows[i].name,
		    28 - (int)strlen(rows[i].name), kib[rows[i].part]);
	snprintf(name, sizeof name, PROC_FILE_MEMINFO, (unsigned)number);
	fd = openat(directory_fd, name, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	n = pwrite(fd, text, size, 0);
	close(fd);
	return n == (ssize_t)size ? 0 : -1;
}
