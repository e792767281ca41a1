/* set.c - see set.h. */
#define _GNU_SOURCE
#include "set.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <inttypes.h>
#include <sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define SET_PREFIX "set-"
#define BLOCK 512 /* of st_blocks */

static int
fail(char *error, size_t size, const char *step, const char *path)
{
	snprintf(error, size, "%s %s: %s", step, path, strerror(errno));
	return -1;
}

/* ---- the place -------------------------------------------------------------------------------------------------- */

int
set_open(struct set_place *place, const char *directory, const char *language, char *error, size_t size)
{
	char path[PATH_MAX];

	place->lock_fd = -1;
	if (snprintf(place->path, sizeof place->path, "%s/%s", directory, language) >= (int)sizeof place->path) {
		snprintf(error, size, "%s: the path is too long", directory);
		return -1;
	}
	if (mkdir(place->path, 0755) != 0 && errno != EEXIST)
		return fail(error, size, "make", place->path);
	snprintf(path, sizeof path, "%s/lock", place->path);
	place->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (place->lock_fd < 0)
		return fail(error, size, "open", path);
	while (flock(place->lock_fd, LOCK_EX) != 0) {
		if (errno == EINTR)
			continue;
		fail(error, size, "lock", path);
		set_close(place);
		return -1;
	}
	return 0;
}

void
set_close(struct set_place *place)
{
	if (place->lock_fd >= 0)
		close(place->lock_fd);
	place->lock_fd = -1;
}

/* ---- trees ------------------------------------------------------------------------------------------------------ */

static int
by_name(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

static FTS *
walk(const char *path)
{
	char *roots[] = { (char *)path, NULL };

	return fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, by_name);
}

void
set_remove(const char *path)
{
	FTS *tree = walk(path);
	FTSENT *entry;

	while (tree != NULL && (entry = fts_read(tree)) != NULL) {
		if (entry->fts_info == FTS_D)
			chmod(entry->fts_accpath, 0700);
		else if (entry->fts_info == FTS_DP)
			rmdir(entry->fts_accpath);
		else
			unlink(entry->fts_accpath);
	}
	if (tree != NULL)
		fts_close(tree);
}

uint64_t
set_bytes(const char *path)
{
	FTS *tree = walk(path);
	FTSENT *entry;
	uint64_t blocks = 0;

	while (tree != NULL && (entry = fts_read(tree)) != NULL) {
		if (entry->fts_info != FTS_DP && entry->fts_info != FTS_NS && entry->fts_info != FTS_ERR)
			blocks += (uint64_t)entry->fts_statp->st_blocks;
	}
	if (tree != NULL)
		fts_close(tree);
	return blocks * BLOCK;
}

static void
digest_text(SHA2_CTX *context, const char *text)
{
	SHA256Update(context, (const uint8_t *)text, strlen(text) + 1);
}

/* Add the contents of a file. Returns 0, or -1 with errno. */
static int
digest_file(SHA2_CTX *context, const char *path)
{
	uint8_t buffer[65536];
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t n = -1;

	while (fd >= 0 && (n = read(fd, buffer, sizeof buffer)) > 0)
		SHA256Update(context, buffer, (size_t)n);
	if (fd >= 0)
		close(fd);
	return n < 0 ? -1 : 0;
}

/*
 * Seal one entry. Directories are done when they are left, because their entries are reached by
 * their rights. Returns 0, or -1 with errno.
 */
static int
seal(SHA2_CTX *context, const FTSENT *entry)
{
	char target[PATH_MAX];
	mode_t mode = entry->fts_statp->st_mode;
	ssize_t n;

	switch (entry->fts_info) {
	case FTS_D:
		return chmod(entry->fts_accpath, 0755);
	case FTS_DP:
		return chmod(entry->fts_accpath, 0555);
	case FTS_F:
		digest_text(context, (mode & 0100) != 0 ? "program" : "file");
		digest_text(context, entry->fts_path);
		/* No file has the rights of its owner, or can be written. */
		return chmod(entry->fts_accpath, (mode & 0100) != 0 ? 0555 : 0444) != 0 ||
		        digest_file(context, entry->fts_accpath) != 0 ?
		    -1 :
		    0;
	case FTS_SL:
	case FTS_SLNONE:
		n = readlink(entry->fts_accpath, target, sizeof target - 1);
		if (n < 0)
			return -1;
		target[n] = '\0';
		digest_text(context, "link");
		digest_text(context, entry->fts_path);
		digest_text(context, target);
		return 0;
	case FTS_DEFAULT: /* a socket, FIFO or device has no place among packages */
		return unlink(entry->fts_accpath);
	default:
		errno = entry->fts_errno;
		return -1;
	}
}

int
set_seal(const char *path, char digest[SET_DIGEST_SIZE], char *error, size_t size)
{
	FTS *tree = walk(path);
	FTSENT *entry;
	SHA2_CTX context;
	int result = 0;

	if (tree == NULL)
		return fail(error, size, "read", path);
	SHA256Init(&context);
	while (result == 0 && (errno = 0, entry = fts_read(tree)) != NULL) {
		if (seal(&context, entry) != 0)
			result = fail(error, size, "seal", entry->fts_path);
	}
	if (result == 0 && errno != 0)
		result = fail(error, size, "read", path);
	fts_close(tree);
	SHA256End(&context, digest);
	return result;
}

/* ---- sets ------------------------------------------------------------------------------------------------------- */

bool
set_is_locked(const char *path, enum set_lock lock)
{
	struct flock range = { .l_type = F_WRLCK, .l_start = lock, .l_len = 1 };
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool is_locked = fd >= 0 && fcntl(fd, F_OFD_GETLK, &range) == 0 && range.l_type != F_UNLCK;

	if (fd >= 0)
		close(fd);
	return is_locked;
}

/* The number in the name of a set, or 0 if it is none. */
static unsigned long
number_of(const char *name)
{
	char *end;
	unsigned long number;

	if (strncmp(name, SET_PREFIX, strlen(SET_PREFIX)) != 0)
		return 0;
	number = strtoul(name + strlen(SET_PREFIX), &end, 10);
	return *end == '\0' ? number : 0;
}

bool
set_is_any_locked(const char *directory, enum set_lock lock)
{
	char path[PATH_MAX];
	DIR *sets = opendir(directory);
	struct dirent *entry;
	bool is_locked = false;

	if (sets == NULL)
		return false;
	while (!is_locked && (entry = readdir(sets)) != NULL) {
		if (number_of(entry->d_name) != 0 &&
		    snprintf(path, sizeof path, "%s/%s", directory, entry->d_name) < (int)sizeof path)
			is_locked = set_is_locked(path, lock);
	}
	closedir(sets);
	return is_locked;
}

/*
 * Remove the sets that are not in use. A runner that starts may be about to lock the current one,
 * and one that has just read the link, the one before it; so both stay. *last is set to the highest
 * number that there is.
 */
static int
prune(struct set_place *place, unsigned long *last, char *error, size_t size)
{
	char link[PATH_MAX], target[PATH_MAX] = "", path[PATH_MAX];
	DIR *directory = opendir(place->path);
	unsigned long current, before = 0, number;
	struct dirent *entry;

	if (directory == NULL)
		return fail(error, size, "read", place->path);
	snprintf(link, sizeof link, "%s/current", place->path);
	if (readlink(link, target, sizeof target - 1) < 0)
		target[0] = '\0';
	current = number_of(target);
	*last = current;
	while ((entry = readdir(directory)) != NULL) {
		number = number_of(entry->d_name);
		if (number > *last)
			*last = number;
		if (number < current && number > before)
			before = number;
	}
	rewinddir(directory);
	while ((entry = readdir(directory)) != NULL) {
		number = number_of(entry->d_name);
		if (number == 0 || number == current || number == before ||
		    snprintf(path, sizeof path, "%s/%s", place->path, entry->d_name) >= (int)sizeof path)
			continue;
		if (!set_is_locked(path, SET_LOCK_USED))
			set_remove(path);
	}
	closedir(directory);
	return 0;
}

int
set_begin(struct set_place *place, char *path, size_t path_size, char *error, size_t size)
{
	unsigned long last;

	if (prune(place, &last, error, size) != 0)
		return -1;
	if (snprintf(path, path_size, "%s/" SET_PREFIX "%lu", place->path, last + 1) >= (int)path_size) {
		errno = ENAMETOOLONG;
		return fail(error, size, "make a set in", place->path);
	}
	return mkdir(path, 0755) != 0 ? fail(error, size, "make", path) : 0;
}

/*
 * Replace a file of the place by `text`, whole or not at all. Returns 0, or -1 with one line in
 * `error`.
 */
static int
write_file(const struct set_place *place, const char *name, const char *text, char *error, size_t size)
{
	char path[PATH_MAX], new[PATH_MAX];
	FILE *file;
	int result;

	snprintf(path, sizeof path, "%s/%s", place->path, name);
	snprintf(new, sizeof new, "%s/%s.new", place->path, name);
	file = fopen(new, "we");
	if (file == NULL)
		return fail(error, size, "write", new);
	result = fputs(text, file) < 0 ? -1 : 0;
	if (fclose(file) != 0 || result != 0 || rename(new, path) != 0)
		return fail(error, size, "write", path);
	return 0;
}

int
set_switch(struct set_place *place, const char *path, const struct set_record *record, char *error, size_t size)
{
	char link[PATH_MAX], new[PATH_MAX], text[512];

	snprintf(link, sizeof link, "%s/current", place->path);
	snprintf(new, sizeof new, "%s/current.new", place->path);
	snprintf(text, sizeof text, "requirements %s\ncontents %s\nended %" PRIu64 "\n", record->requirements,
	    record->contents[0] != '\0' ? record->contents : "-", record->ended_us);
	if (path == NULL) {
		if (unlink(link) != 0 && errno != ENOENT)
			return fail(error, size, "remove", link);
		return write_file(place, "record", text, error, size);
	}
	if (unlink(new) != 0 && errno != ENOENT)
		return fail(error, size, "remove", new);
	if (symlink(strrchr(path, '/') + 1, new) != 0)
		return fail(error, size, "make", new);
	if (rename(new, link) != 0)
		return fail(error, size, "replace", link);
	return write_file(place, "record", text, error, size);
}

/* ---- records ---------------------------------------------------------------------------------------------------- */

/* Read a file that begins like a record; the rest goes to `rest`. */
static bool
read_file(const struct set_place *place, const char *name, struct set_record *record, char *rest, size_t size)
{
	char path[PATH_MAX];
	FILE *file;
	bool is_good;
	size_t n = 0;

	snprintf(path, sizeof path, "%s/%s", place->path, name);
	file = fopen(path, "re");
	if (file == NULL)
		return false;
	is_good = fscanf(file, "requirements %64s contents %64s ended %" SCNu64 "\n", record->requirements, record->contents,
	              &record->ended_us) == 3;
	if (rest != NULL) {
		n = fread(rest, 1, size - 1, file);
		rest[n] = '\0';
	}
	fclose(file);
	return is_good;
}

bool
set_read_record(const struct set_place *place, struct set_record *record)
{
	return read_file(place, "record", record, NULL, 0);
}

bool
set_read_failure(const struct set_place *place, struct set_record *record, char reason[SET_REASON_SIZE])
{
	return read_file(place, "failure", record, reason, SET_REASON_SIZE);
}

void
set_write_failure(const struct set_place *place, const struct set_record *record, const char *reason)
{
	char text[SET_REASON_SIZE + 512], error[PATH_MAX + 128];

	snprintf(text, sizeof text, "requirements %s\ncontents -\nended %" PRIu64 "\n%s", record->requirements, record->ended_us,
	    reason);
	write_file(place, "failure", text, error, sizeof error);
}
