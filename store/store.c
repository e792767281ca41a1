/* store.c - see store.h. Runs in the store. */
#define _GNU_SOURCE
#include "store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "config_key.h"
#include "index.h"
#include "log.h"
#include "log_limit.h"

#define STEP_BYTES (1 << 20) /* what an upload reserves at a time */
#define NOTE_S 60            /* a use is noted on the disk if the last one was longer ago */
#define OF_NAME ".name"      /* at the end of the file of a name */
#define NAME_SIZE (PROTO_KEY_NAME_SIZE + 1 + STORE_DIGITS + sizeof OF_NAME)

struct store {
	pthread_mutex_t lock;
	struct index index;
	struct store_figures figures; /* those that are counted here */
	uint64_t file_bytes, keep_s;
	uint64_t number; /* of the next upload */
	int dir_fd, tmp_fd, keys_fd;
};

static uint64_t
now_s(void)
{
	return (uint64_t)time(NULL);
}

/* ---- names ------------------------------------------------------------------------------------------------------- */

/* "KEY/HEX", or "KEY/HEX.name", below keys/. */
static void
name_file(const char *key, const uint8_t digest[PROTO_DIGEST_SIZE], bool is_name, char name[NAME_SIZE])
{
	size_t length = (size_t)snprintf(name, NAME_SIZE, "%.*s/", PROTO_KEY_NAME_SIZE - 1, key);

	for (size_t i = 0; i < PROTO_DIGEST_SIZE; i++)
		snprintf(name + length + 2 * i, 3, "%02x", digest[i]);
	if (is_name)
		strcpy(name + length + STORE_DIGITS, OF_NAME);
}

static void
name_upload(const struct store_upload *upload, char name[32])
{
	snprintf(name, 32, "%llu", (unsigned long long)upload->number);
}

static unsigned
digit(char c)
{
	return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'a') + 10;
}

/* The digest in the name of a file of this size. Returns whether there is one. */
static bool
read_digest(const char *hex, off_t size, uint8_t digest[PROTO_DIGEST_SIZE], bool *is_name)
{
	if (strspn(hex, "0123456789abcdef") != STORE_DIGITS)
		return false;
	*is_name = strcmp(hex + STORE_DIGITS, OF_NAME) == 0;
	if (*is_name ? size != PROTO_DIGEST_SIZE : hex[STORE_DIGITS] != '\0')
		return false;
	for (size_t i = 0; i < PROTO_DIGEST_SIZE; i++)
		digest[i] = (uint8_t)(digit(hex[2 * i]) << 4 | digit(hex[2 * i + 1]));
	return true;
}

/* Log a step that failed, with errno. */
static enum store_fault
fail(const char *step)
{
	static struct log_limit limit;

	if (errno == ENOSPC || errno == EDQUOT || errno == EFBIG)
		return STORE_NO_SPACE;
	log_limit_warn(&limit, "%s: %s", step, strerror(errno));
	return STORE_FAILED;
}

/* The index forgets a file. A key's directory goes with its last one. */
static void
remove_file(void *context, const struct index_entry *entry)
{
	struct store *store = context;
	char name[NAME_SIZE];

	name_file(entry->owner->name, entry->digest, entry->is_name, name);
	if (unlinkat(store->keys_fd, name, 0) != 0 && errno != ENOENT)
		fail("remove a file");
	if (entry->owner->files == 1 && unlinkat(store->keys_fd, entry->owner->name, AT_REMOVEDIR) != 0 && errno != ENOTEMPTY &&
	    errno != ENOENT)
		fail("remove the directory of a key");
}

/* ---- the start --------------------------------------------------------------------------------------------------- */

static int
open_directory(int dir, const char *name)
{
	int fd = -1;

	if (mkdirat(dir, name, 0700) == 0 || errno == EEXIST)
		fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		die("files.store: %s: %s", name, strerror(errno));
	return fd;
}

/* Call `take` for each name of a directory but those that begin with a dot. */
static void
each_name(int dir, const char *name, void (*take)(struct store *store, int dir, const char *key, const char *name),
    struct store *store)
{
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *list = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (list == NULL)
		die("files.store: %s: %s", name, strerror(errno));
	while ((errno = 0, entry = readdir(list)) != NULL) {
		if (entry->d_name[0] != '.')
			take(store, fd, name, entry->d_name);
	}
	if (errno != 0)
		die("files.store: %s: %s", name, strerror(errno));
	closedir(list);
}

static void
remove_name(struct store *store, int dir, const char *key, const char *name)
{
	(void)store;
	(void)key;
	if (unlinkat(dir, name, 0) != 0)
		die("files.store: remove %s: %s", name, strerror(errno));
}

/* A file that was found, until all are there and can be put in order. */
struct found {
	char key[PROTO_KEY_NAME_SIZE];
	uint8_t digest[PROTO_DIGEST_SIZE];
	bool is_name;
	uint64_t size, used_s;
};

static struct found *found;
static size_t found_count;

static void
find_file(struct store *store, int dir, const char *key, const char *name)
{
	struct found one;
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		die("files.store: keys/%s/%s: %s", key, name, strerror(errno));
	if (!S_ISREG(st.st_mode) || !read_digest(name, st.st_size, one.digest, &one.is_name)) {
		log_warn("files.store: keys/%s/%s is no file of the store, and is removed", key, name);
		remove_name(store, dir, key, name);
		return;
	}
	snprintf(one.key, sizeof one.key, "%s", key);
	one.size = (uint64_t)st.st_size;
	one.used_s = (uint64_t)st.st_mtime;
	if ((found_count & (found_count - 1)) == 0 &&
	    (found = realloc(found, (found_count == 0 ? 1 : 2 * found_count) * sizeof *found)) == NULL)
		die("out of memory");
	found[found_count++] = one;
}

static void
find_key(struct store *store, int dir, const char *key, const char *name)
{
	(void)key;
	if (!config_key_is_name(name))
		die("files.store: keys/%s: is not the name of a key", name);
	each_name(dir, name, find_file, store);
	if (unlinkat(dir, name, AT_REMOVEDIR) != 0 && errno != ENOTEMPTY && errno != EEXIST)
		die("files.store: keys/%s: %s", name, strerror(errno));
}

static int
by_use(const void *a, const void *b)
{
	const struct found *left = a, *right = b;

	return left->used_s < right->used_s ? -1 : left->used_s > right->used_s;
}

/* Fill the index with the files that are there. If the bound is lower now, the oldest go. */
static void
read_files(struct store *store)
{
	uint64_t most = store->index.most;

	each_name(store->dir_fd, "keys", find_key, store);
	if (found_count > 0) /* qsort(3) takes no NULL, which an empty store has */
		qsort(found, found_count, sizeof *found, by_use);
	store->index.most = UINT64_MAX;
	for (size_t i = 0; i < found_count; i++) {
		struct index_owner *owner = index_owner(&store->index, found[i].key);

		if (owner == NULL || index_reserve(&store->index, owner, UINT64_MAX, index_charge(found[i].size)) != STORE_OK ||
		    index_add(&store->index, owner, found[i].digest, found[i].is_name, found[i].size, found[i].used_s) != 0)
			die("out of memory");
	}
	free(found);
	found = NULL;
	store->index.most = most;
	while (store->index.bytes > most) {
		struct index_owner *owner = index_owner(&store->index, "");

		if (owner == NULL)
			die("out of memory");
		index_reserve(&store->index, owner, UINT64_MAX, 0);
		index_leave(&store->index, owner);
	}
}

/*
 * Whether the files were written in this boot of the host. If not, the disk may have lost parts of
 * them.
 */
static bool
is_of_this_boot(const struct store *store)
{
	char now[64] = "", then[64] = "";
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	bool is_same;

	if (fd < 0 || read(fd, now, sizeof now - 1) <= 0)
		die("/proc/sys/kernel/random/boot_id: %s", strerror(errno));
	close(fd);
	fd = openat(store->dir_fd, "boot", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 || read(fd, then, sizeof then - 1) < 0)
		die("files.store: boot: %s", strerror(errno));
	is_same = strcmp(now, then) == 0;
	if (!is_same && (ftruncate(fd, 0) != 0 || pwrite(fd, now, strlen(now), 0) != (ssize_t)strlen(now)))
		die("files.store: boot: %s", strerror(errno));
	close(fd);
	return is_same;
}

static void
take_lock(const struct store *store)
{
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd = openat(store->dir_fd, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

	/* The one before this process finishes its uploads. The descriptor stays open. */
	if (fd < 0 || fcntl(fd, F_SETLKW, &whole) != 0)
		die("files.store: lock: %s", strerror(errno));
}

struct store *
store_open(const struct config *config, int *dir_fd)
{
	struct store *store = calloc(1, sizeof *store);

	if (store == NULL || index_init(&store->index, config->store_bytes, remove_file, store) != 0)
		die("out of memory");
	pthread_mutex_init(&store->lock, NULL);
	store->file_bytes = config->store_file_bytes;
	store->keep_s = config->store_s;
	store->dir_fd = open(config->store_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (store->dir_fd < 0)
		die("files.store: %s: %s", config->store_dir, strerror(errno));
	take_lock(store);
	store->tmp_fd = open_directory(store->dir_fd, "tmp");
	store->keys_fd = open_directory(store->dir_fd, "keys");
	each_name(store->dir_fd, "tmp", remove_name, store);
	read_files(store);
	if (!is_of_this_boot(store) && store->index.files > 0) {
		log_info("files.store: the host was started anew, so its %llu files are removed",
		    (unsigned long long)store->index.files);
		index_expire(&store->index, UINT64_MAX);
		store->index.expired = 0;
	}
	*dir_fd = store->dir_fd;
	return store;
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

/* Find a file or a name of the key, and note the use. The store is locked. */
static struct index_entry *
use(struct store *store, const char *key, const uint8_t digest[PROTO_DIGEST_SIZE], bool is_name)
{
	struct index_entry *entry = index_find(&store->index, key, digest);
	uint64_t now = now_s();
	char name[NAME_SIZE];

	if (entry != NULL && entry->is_name != is_name)
		entry = NULL;
	if (entry != NULL && store->keep_s > 0 && entry->used_s + store->keep_s < now) {
		index_drop(&store->index, entry);
		store->index.expired++;
		entry = NULL;
	}
	*(entry != NULL ? &store->figures.found : &store->figures.missing) += 1;
	if (entry == NULL)
		return NULL;
	/* For the next process: if this fails, the file may go sooner. */
	if (entry->used_s + NOTE_S < now) {
		name_file(key, digest, is_name, name);
		utimensat(store->keys_fd, name, NULL, 0);
	}
	index_use(entry, now);
	return entry;
}

uint64_t
store_find(struct store *store, const char *key, const uint8_t digest[PROTO_DIGEST_SIZE])
{
	const struct index_entry *entry;
	uint64_t size;

	pthread_mutex_lock(&store->lock);
	entry = use(store, key, digest, false);
	size = entry != NULL ? entry->size : STORE_NO_SIZE;
	pthread_mutex_unlock(&store->lock);
	return size;
}

/* store_get of a file, or of what a name has. */
static int
get(struct store *store, const char *key, const uint8_t digest[PROTO_DIGEST_SIZE], bool is_name, uint64_t *size)
{
	struct index_entry *entry;
	char name[NAME_SIZE];
	struct stat st;
	int fd = -1;

	pthread_mutex_lock(&store->lock);
	entry = use(store, key, digest, is_name);
	if (entry != NULL) {
		name_file(key, digest, is_name, name);
		fd = openat(store->keys_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0)
			fail("open a file");
		*size = entry->size;
		/* Somebody has changed the directory behind our back. */
		if (fd < 0 ? errno == ENOENT : fstat(fd, &st) != 0 || (uint64_t)st.st_size != entry->size) {
			if (fd >= 0)
				close(fd);
			fd = -1;
			index_drop(&store->index, entry);
		}
	}
	pthread_mutex_unlock(&store->lock);
	return fd;
}

int
store_get(struct store *store, const char *key, const uint8_t digest[PROTO_DIGEST_SIZE], uint64_t *size)
{
	return get(store, key, digest, false, size);
}

bool
store_delete(struct store *store, const char *key, const uint8_t digest[PROTO_DIGEST_SIZE])
{
	struct index_entry *entry;

	pthread_mutex_lock(&store->lock);
	entry = index_find(&store->index, key, digest);
	if (entry != NULL && entry->is_name)
		entry = NULL;
	if (entry != NULL) {
		index_drop(&store->index, entry);
		store->figures.deleted++;
	}
	pthread_mutex_unlock(&store->lock);
	return entry != NULL;
}

/* ---- uploads ----------------------------------------------------------------------------------------------------- */

/* Reserve as much as `size` bytes take. The store is locked. */
static enum store_fault
reserve(struct store *store, struct store_upload *upload, uint64_t size)
{
	uint64_t need = index_charge(size), more;
	enum store_fault fault;

	if (need <= upload->reserved)
		return STORE_OK;
	more = need - upload->reserved;
	/* Ahead, so that the lock is taken less often; but nothing is refused for that. */
	fault = size < STEP_BYTES ? STORE_FULL : index_reserve(&store->index, upload->owner, upload->quota, more + STEP_BYTES);
	if (fault == STORE_OK)
		more += STEP_BYTES;
	else
		fault = index_reserve(&store->index, upload->owner, upload->quota, more);
	if (fault == STORE_OK)
		upload->reserved += more;
	else
		store->figures.refused++;
	return fault;
}

/* End an upload in the index. The store is locked. */
static void
leave(struct store *store, struct store_upload *upload)
{
	index_release(&store->index, upload->owner, upload->reserved);
	upload->owner->uploads--;
	store->figures.uploads--;
	index_leave(&store->index, upload->owner);
	upload->owner = NULL;
}

static enum store_fault
create(struct store *store, struct store_upload *upload)
{
	char name[32];

	name_upload(upload, name);
	upload->fd = openat(store->tmp_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0400);
	return upload->fd >= 0 ? STORE_OK : fail("make a file");
}

enum store_fault
store_begin(struct store *store, const char *key, uint64_t quota, uint32_t most_uploads, uint64_t expected,
    struct store_upload *upload)
{
	enum store_fault fault = STORE_FAILED;

	*upload = (struct store_upload){ .quota = quota, .fd = -1 };
	if (expected != STORE_NO_SIZE && (expected > store->file_bytes || index_charge(expected) > quota))
		return STORE_TOO_LARGE;
	pthread_mutex_lock(&store->lock);
	upload->owner = index_owner(&store->index, key);
	if (upload->owner != NULL) {
		upload->number = store->number++;
		fault = most_uploads != 0 && upload->owner->uploads >= most_uploads ? STORE_BUSY : STORE_OK;
		upload->owner->uploads++;
		store->figures.uploads++;
		if (fault == STORE_OK)
			fault = reserve(store, upload, 0);
		if (fault != STORE_OK)
			leave(store, upload);
	}
	pthread_mutex_unlock(&store->lock);
	if (fault != STORE_OK)
		return fault;
	SHA256Init(&upload->sha);
	fault = create(store, upload);
	if (fault != STORE_OK)
		store_drop(store, upload);
	return fault;
}

enum store_fault
store_write(struct store *store, struct store_upload *upload, const void *bytes, size_t size)
{
	enum store_fault fault = STORE_OK;

	if (upload->size + size > store->file_bytes || index_charge(upload->size + size) > upload->quota)
		return STORE_TOO_LARGE;
	if (index_charge(upload->size + size) > upload->reserved) {
		pthread_mutex_lock(&store->lock);
		fault = reserve(store, upload, upload->size + size);
		pthread_mutex_unlock(&store->lock);
	}
	if (fault != STORE_OK)
		return fault;
	SHA256Update(&upload->sha, bytes, size);
	for (const char *at = bytes; size > 0;) {
		ssize_t n = write(upload->fd, at, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail("write a file");
		at += n;
		size -= (size_t)n;
		upload->size += (uint64_t)n;
	}
	return STORE_OK;
}

/* Move the file to its place. The store is locked. */
static enum store_fault
place(struct store *store, const struct store_upload *upload, const uint8_t digest[PROTO_DIGEST_SIZE], bool is_name)
{
	const char *key = upload->owner->name;
	char name[NAME_SIZE], temporary[32];

	name_upload(upload, temporary);
	name_file(key, digest, is_name, name);
	if (mkdirat(store->keys_fd, key, 0700) != 0 && errno != EEXIST)
		return fail("make the directory of a key");
	return renameat(store->tmp_fd, temporary, store->keys_fd, name) == 0 ? STORE_OK : fail("name a file");
}

/* End an upload: its file is that of the digest from now on. */
static enum store_fault
commit(struct store *store, struct store_upload *upload, const uint8_t digest[PROTO_DIGEST_SIZE], bool is_name)
{
	struct index_entry *entry;
	enum store_fault fault = STORE_OK;

	pthread_mutex_lock(&store->lock);
	entry = index_find(&store->index, upload->owner->name, digest);
	/* A file that is there stays, and this one is dropped below. A name has a new content. */
	if (entry == NULL || is_name)
		fault = place(store, upload, digest, is_name);
	if (fault == STORE_OK && entry != NULL)
		index_use(entry, now_s());
	else if (fault == STORE_OK && index_add(&store->index, upload->owner, digest, is_name, upload->size, now_s()) != 0)
		fault = STORE_FAILED;
	else if (fault == STORE_OK)
		upload->reserved -= index_charge(upload->size);
	store->figures.stored += fault == STORE_OK && !is_name;
	pthread_mutex_unlock(&store->lock);
	store_drop(store, upload);
	return fault;
}

enum store_fault
store_commit(struct store *store, struct store_upload *upload, uint8_t digest[PROTO_DIGEST_SIZE])
{
	SHA256Final(digest, &upload->sha);
	return commit(store, upload, digest, false);
}

void
store_drop(struct store *store, struct store_upload *upload)
{
	char name[32];

	if (upload->owner == NULL)
		return;
	if (upload->fd >= 0) {
		close(upload->fd);
		name_upload(upload, name);
		unlinkat(store->tmp_fd, name, 0); /* it has another name, if all went well */
	}
	upload->fd = -1;
	pthread_mutex_lock(&store->lock);
	leave(store, upload);
	pthread_mutex_unlock(&store->lock);
}

/* ---- names ------------------------------------------------------------------------------------------------------ */

/* Another digest than that of any content. */
static void
digest_of_name(const uint8_t name[PROTO_DIGEST_SIZE], uint8_t digest[PROTO_DIGEST_SIZE])
{
	for (size_t i = 0; i < PROTO_DIGEST_SIZE; i++)
		digest[i] = (uint8_t)~name[i];
}

enum store_fault
store_name(struct store *store, const char *key, uint64_t quota, const uint8_t name[PROTO_DIGEST_SIZE],
    const uint8_t digest[PROTO_DIGEST_SIZE])
{
	uint8_t own[PROTO_DIGEST_SIZE];
	struct store_upload upload;
	enum store_fault fault = store_begin(store, key, quota, 0, PROTO_DIGEST_SIZE, &upload);

	if (fault != STORE_OK)
		return fault;
	fault = store_write(store, &upload, digest, PROTO_DIGEST_SIZE);
	if (fault != STORE_OK) {
		store_drop(store, &upload);
		return fault;
	}
	digest_of_name(name, own);
	return commit(store, &upload, own, true);
}

enum store_fault
store_resolve(struct store *store, const char *key, const uint8_t name[PROTO_DIGEST_SIZE], uint8_t digest[PROTO_DIGEST_SIZE])
{
	uint8_t own[PROTO_DIGEST_SIZE];
	uint64_t size;
	ssize_t n;
	int fd;

	digest_of_name(name, own);
	fd = get(store, key, own, true, &size);
	if (fd < 0)
		return STORE_UNKNOWN;
	n = pread(fd, digest, PROTO_DIGEST_SIZE, 0);
	close(fd);
	return n == PROTO_DIGEST_SIZE ? STORE_OK : fail("read a name");
}

/* ---- all of them ------------------------------------------------------------------------------------------------- */

void
store_sweep(struct store *store)
{
	uint64_t now = now_s();

	pthread_mutex_lock(&store->lock);
	if (store->keep_s > 0 && now > store->keep_s)
		index_expire(&store->index, now - store->keep_s);
	pthread_mutex_unlock(&store->lock);
}

void
store_figures(struct store *store, struct store_figures *figures)
{
	pthread_mutex_lock(&store->lock);
	*figures = store->figures;
	figures->bytes = store->index.bytes;
	figures->files = store->index.files;
	figures->keys = store->index.keys;
	figures->evicted = store->index.evicted;
	figures->expired = store->index.expired;
	pthread_mutex_unlock(&store->lock);
}
