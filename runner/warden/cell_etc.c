/*
 * cell_etc.c - see cell_etc.h. Runs at the start; at level chroot, in the process that becomes a
 * warden.
 */
#define _GNU_SOURCE
#include "warden/cell_etc.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel/public_copy.h"
#include "paths.h"

#define ETC "/etc"
#define ZONES "/usr/share/zoneinfo"
#define NOBODY 65534u

/* The directory that is being filled. */
struct cell_etc {
	const struct config *config;
	bool single_uid;
	int fd;
	struct public_copy left;
};

/* One part of it. Returns 0, or -1 with errno. */
struct part {
	const char *name; /* for messages */
	int (*make)(struct cell_etc *etc);
};

static int
write_text(int directory_fd, const char *name, const char *text, size_t size)
{
	int fd = openat(directory_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	size_t done = 0;
	ssize_t n = 0;

	if (fd < 0)
		return -1;
	for (; done < size && (n = write(fd, text + done, size - done)) > 0; done += (size_t)n)
		continue;
	return close(fd) != 0 || n < 0 ? -1 : 0;
}

/* ---- users -------------------------------------------------------------------------------------- */

static void
add_user(FILE *out, const char *user, unsigned id)
{
	const char *home = id == 0 ? "/root" : strcmp(user, CELL_USER) == 0 ? PATH_BOX : "/nonexistent";

	fprintf(out, "%s:x:%u:%u:%s:%s:%s\n", user, id, id, user, home,
	    strcmp(user, "nobody") == 0 ? "/usr/sbin/nologin" : CELL_SHELL);
}

static void
add_group(FILE *out, const char *user, unsigned id)
{
	fprintf(out, "%s:x:%u:\n", strcmp(user, "nobody") == 0 ? "nogroup" : user, id);
}

/*
 * Write a file with a line for root, for a cell's user, and for nobody, made by `add`. The first
 * line that fits a uid counts: where the cell is 65534 itself, it is the cell's.
 */
static int
write_ids(int directory_fd, const char *name, void (*add)(FILE *out, const char *user, unsigned id), unsigned id)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	int result = -1;

	if (out == NULL)
		return -1;
	add(out, "root", 0);
	add(out, CELL_USER, id);
	add(out, "nobody", NOBODY);
	if (fclose(out) == 0)
		result = write_text(directory_fd, name, text, size);
	free(text);
	return result;
}

static int
write_user(int directory_fd, unsigned id)
{
	return write_ids(directory_fd, "passwd", add_user, id) != 0 || write_ids(directory_fd, "group", add_group, id) != 0 ? -1 :
	                                                                                                                      0;
}

/* Make a directory with the two files for one uid. */
static int
make_user_directory(int parent_fd, const char *name, unsigned id)
{
	int fd = mkdirat(parent_fd, name, 0755) != 0 ? -1 : openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC), result;

	if (fd < 0)
		return -1;
	result = write_user(fd, id);
	return close(fd) != 0 ? -1 : result;
}

static unsigned
uid_of(const struct config *config, uint32_t cell)
{
	return (config->level == LEVEL_CHROOT ? config->first_uid : 0) + 1 + cell;
}

/* A directory for each cell. A program may go through the one above, but not list it. */
static int
make_all_ids(const struct cell_etc *etc)
{
	const char *const name = &PATH_ALL_IDS[strlen(ETC "/")];
	int fd = mkdirat(etc->fd, name, 0711) != 0 ? -1 : openat(etc->fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char number[16];
	int result = fd < 0 ? -1 : 0;

	for (uint32_t cell = 0; result == 0 && cell < etc->config->cells; cell++) {
		snprintf(number, sizeof number, "%u", (unsigned)cell);
		result = make_user_directory(fd, number, uid_of(etc->config, cell));
	}
	if (fd >= 0)
		close(fd);
	return result;
}

/* Zygotes, which are in no cell, find the user of the first one. */
static int
make_users(struct cell_etc *etc)
{
	const char *const own = &PATH_CELL_IDS[strlen(ETC "/")];
	char path[32];

	if (etc->single_uid)
		return write_user(etc->fd, NOBODY);
	if (make_all_ids(etc) != 0)
		return -1;
	snprintf(path, sizeof path, "%s/0", &PATH_ALL_IDS[strlen(ETC "/")]);
	if ((etc->config->level == LEVEL_CHROOT ? symlinkat(path, etc->fd, own) :
	                                          make_user_directory(etc->fd, own, uid_of(etc->config, 0))) != 0)
		return -1;
	snprintf(path, sizeof path, "%s/passwd", own);
	if (symlinkat(path, etc->fd, "passwd") != 0)
		return -1;
	snprintf(path, sizeof path, "%s/group", own);
	return symlinkat(path, etc->fd, "group");
}

/* ---- host names --------------------------------------------------------------------------------- */

/* Level namespaces: the cells' own name. Level chroot: the container's, which programs see. */
static void
find_host_name(const struct cell_etc *etc, char name[HOST_NAME_MAX + 1])
{
	if (etc->config->level != LEVEL_CHROOT || gethostname(name, HOST_NAME_MAX) != 0 || name[0] == '\0')
		snprintf(name, HOST_NAME_MAX, CELL_HOST_NAME);
	name[HOST_NAME_MAX] = '\0';
}

static int
make_hostname(struct cell_etc *etc)
{
	char name[HOST_NAME_MAX + 1] = "", text[HOST_NAME_MAX + 2];
	int size;

	find_host_name(etc, name);
	size = snprintf(text, sizeof text, "%s\n", name);
	return write_text(etc->fd, "hostname", text, (size_t)size);
}

/* The host's own names are of use only to programs that have the host's network. */
static int
make_hosts(struct cell_etc *etc)
{
	char name[HOST_NAME_MAX + 1] = "", text[512];
	int size;

	if (etc->config->network == NETWORK_HOST && public_copy_file(ETC "/hosts", etc->fd, "hosts", &etc->left) == 0)
		return 0;
	find_host_name(etc, name);
	size = snprintf(text, sizeof text, "127.0.0.1\tlocalhost\n127.0.1.1\t%s\n::1\tlocalhost ip6-localhost ip6-loopback\n",
	    name);
	return write_text(etc->fd, "hosts", text, (size_t)size);
}

static int
make_resolver(struct cell_etc *etc)
{
	/*
	 * Without a network, too, a name that is not in hosts is looked up by DNS: the denied
	 * socket then stands in the reply, with its hint, and no server is asked.
	 */
	static const char text[] = "passwd: files\ngroup: files\nhosts: files dns\nnetworks: files\n"
	                           "protocols: files\nservices: files\n";

	if (write_text(etc->fd, "nsswitch.conf", text, sizeof text - 1) != 0)
		return -1;
	return etc->config->network == NETWORK_HOST &&
	        public_copy_file(ETC "/resolv.conf", etc->fd, "resolv.conf", &etc->left) != 0 && errno != ENOENT ?
	    -1 :
	    0;
}

static const char *
find_zone(const struct config *config, char zone[PATH_MAX])
{
	char *target;
	size_t length = strlen(ZONES "/");

	if (config->timezone != NULL)
		return config->timezone;
	target = realpath(ETC "/localtime", NULL);
	zone[0] = '\0';
	if (target != NULL && strncmp(target, ZONES "/", length) == 0)
		snprintf(zone, PATH_MAX, "%s", target + length);
	free(target);
	return zone[0] != '\0' ? zone : NULL;
}

static int
make_localtime(struct cell_etc *etc)
{
	char found[PATH_MAX], path[PATH_MAX + sizeof ZONES];
	const char *zone = find_zone(etc->config, found);

	if (zone == NULL)
		return public_copy_file(ETC "/localtime", etc->fd, "localtime", &etc->left) == 0 || errno == ENOENT ? 0 : -1;
	/* A link, as everywhere: libraries read the zone's name from it. */
	snprintf(path, sizeof path, ZONES "/%s", zone);
	return symlinkat(path, etc->fd, "localtime");
}

static int
make_timezone(struct cell_etc *etc)
{
	char found[PATH_MAX], text[PATH_MAX + 1];
	const char *zone = find_zone(etc->config, found);
	int size = snprintf(text, sizeof text, "%.4000s\n", zone != NULL ? zone : "Etc/UTC");

	/* Of a zone without a name the host may still have written one down. */
	if (zone == NULL && public_copy_file(ETC "/timezone", etc->fd, "timezone", &etc->left) == 0)
		return 0;
	return write_text(etc->fd, "timezone", text, (size_t)size);
}

int
cell_etc_check(const struct config *config, char *error, size_t size)
{
	char path[PATH_MAX];
	struct stat st;

	if (config->timezone == NULL)
		return 0;
	snprintf(path, sizeof path, ZONES "/%s", config->timezone);
	if (stat(path, &st) == 0 && S_ISREG(st.st_mode))
		return 0;
	snprintf(error, size, "%s: etc.timezone: %s is no file; allowed: the name of a file below " ZONES, config->path, path);
	return -1;
}

/* ---- files of the host -------------------------------------------------------------------------- */

static int
copy_files(struct cell_etc *etc)
{
	const struct strings *files = &etc->config->etc_files;
	glob_t found = { 0 };
	int etc_fd = open(ETC, O_RDONLY | O_DIRECTORY | O_CLOEXEC), result = 0;

	if (etc_fd < 0)
		return errno == ENOENT ? 0 : -1;
	for (size_t i = 0; result == 0 && i < files->count; i++) {
		if (glob(files->item[i], GLOB_NOSORT, NULL, &found) == GLOB_NOSPACE) {
			errno = ENOMEM;
			result = -1;
		}
		for (size_t j = 0; result == 0 && j < found.gl_pathc; j++)
			result = public_copy(etc_fd, etc->fd, found.gl_pathv[j] + strlen(ETC "/"), &etc->left);
		globfree(&found);
	}
	close(etc_fd);
	return result;
}

/* Our own come first: a copy leaves alone whatever exists. */
static const struct part parts[] = {
	{ "passwd and group", make_users },
	{ "hostname", make_hostname },
	{ "hosts", make_hosts },
	{ "nsswitch.conf", make_resolver },
	{ "localtime", make_localtime },
	{ "timezone", make_timezone },
	{ "the files of etc.files", copy_files },
};

int
cell_etc_make(const struct config *config, bool single_uid, int directory_fd, char *error, size_t size)
{
	struct cell_etc etc = { .config = config,
		.single_uid = single_uid,
		.fd = directory_fd,
		.left = { .bytes = CELL_ETC_BYTES, .entries = CELL_ETC_ENTRIES } };
	mode_t old_mask = umask(022);

	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
		if (parts[i].make(&etc) != 0) {
			if (errno == EFBIG)
				snprintf(error, size, "make the cells' " ETC ": %s: more than %u MiB or %u files", parts[i].name,
				    (unsigned)(CELL_ETC_BYTES >> 20), CELL_ETC_ENTRIES);
			else
				snprintf(error, size, "make the cells' " ETC ": %s: %s", parts[i].name, strerror(errno));
			umask(old_mask);
			return -1;
		}
	}
	umask(old_mask);
	return 0;
}
