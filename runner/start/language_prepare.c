/*
 * language_prepare.c - see language_prepare.h. Runs with the rights of the start, or as root of the
 * user namespace.
 */
#define _GNU_SOURCE
#include "start/language_prepare.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config_dependencies.h"
#include "driver.h"
#include "fdpass.h"
#include "guest/hook.h"
#include "guest/walls.h"
#include "landlock.h"
#include "log.h"
#include "messages.h"
#include "paths.h"
#include "sealed_memfd.h"
#include "start/probe.h"
#include "start/rootfs.h"

#define HUGE_PAGE_GUESTS 2 /* armed cells per zygote from which on huge pages cost each cell little memory */

/*
 * Write the setup of the zygotes of pool `pool` (struct zygote_setup) into a memfd, and seal it: a
 * zygote that was taken over must not be able to change what later ones read. Returns a descriptor
 * that the caller owns, or -1 with errno.
 */
static int
write_setup(const struct language *language, size_t pool, const struct zygote_setup *common)
{
	const struct policy *policy = language->policy;
	static const struct warm_set nothing;
	size_t kind = pool / GRANT_COUNT;
	const struct bpf *base = &policy->base[pool % GRANT_COUNT], *last = &policy->last;
	const struct warm_set *set = kind < language->config->warm_count ? &language->config->warm[kind] : &nothing;
	const struct strings *imports = &set->imports;
	struct zygote_setup setup = *common;
	struct iovec *iov = calloc(3 + imports->count, sizeof *iov);
	int fd;

	if (iov == NULL)
		return -1;
	setup.magic = ZYGOTE_SETUP_MAGIC;
	setup.base_count = (uint32_t)base->count;
	setup.last_count = (uint32_t)last->count;
	setup.imports = (uint32_t)imports->count;
	setup.huge_pages = set->armed >= HUGE_PAGE_GUESTS * set->zygotes;
	setup.landlock_flags = LANDLOCK_QUIET |
	    ((pool % GRANT_COUNT & (GRANT_NETWORK | GRANT_LOOPBACK)) != 0 && common->level != LEVEL_CHROOT ? LANDLOCK_FREE_TCP :
	                                                                                                     0u);
	snprintf(setup.language, sizeof setup.language, "%s", language->config->name);
	snprintf(setup.main_file, sizeof setup.main_file, "%s", language->config->main_file);
	iov[0] = (struct iovec){ &setup, sizeof setup };
	iov[1] = (struct iovec){ base->code, base->count * sizeof *base->code };
	iov[2] = (struct iovec){ last->code, last->count * sizeof *last->code };
	for (size_t i = 0; i < imports->count; i++) {
		iov[3 + i] = (struct iovec){ imports->item[i], strlen(imports->item[i]) + 1 };
		setup.imports_bytes += (uint32_t)iov[3 + i].iov_len;
	}
	fd = sealed_memfd_make("zygote", SEALED_MEMFD_DATA, iov, 3 + (int)imports->count);
	free(iov);
	return fd;
}

/* Bind a program that is executed. Returns 0, or -1 with a text if it cannot be. */
static int
add_program(struct rootfs *fs, const char *path, char *error, size_t size)
{
	if (access(path, X_OK) != 0) {
		snprintf(error, size, "%s: %s", path, strerror(errno));
		return -1;
	}
	return rootfs_add(fs, path, error, size);
}

/*
 * Add the certificates of the authorities for programs that have a network: in the place of those
 * that etc.files may name. Returns 0, or -1 with a text.
 */
static int
add_certificates(struct rootfs *fs, const struct config *config, char *error, size_t size)
{
	return config->network == NETWORK_NONE || access(config->certificates, R_OK) != 0 ?
	    0 :
	    rootfs_add_at(fs, PATH_CERTIFICATES, config->certificates, error, size);
}

static void
blame(char key[LANGUAGE_KEY_SIZE], const char *name)
{
	snprintf(key, LANGUAGE_KEY_SIZE, "%s", name);
}

/*
 * Add the paths that the setting `name` lists. Returns 0, or -1 with a text; `key` is then the
 * element to blame.
 */
static int
add_paths(struct rootfs *fs, const char *name, const struct strings *paths, char key[LANGUAGE_KEY_SIZE], char *error, size_t size)
{
	for (size_t i = 0; i < paths->count; i++) {
		const char *path = paths->item[i];

		snprintf(key, LANGUAGE_KEY_SIZE, "%s.[%zu]", name, i);
		if (path[0] == '?' && access(++path, F_OK) != 0)
			continue;
		if (rootfs_add(fs, path, error, size) != 0)
			return -1;
	}
	return 0;
}

/* Add the links of the configuration; like add_paths. */
static int
add_links(struct rootfs *fs, const struct language_config *from, char key[LANGUAGE_KEY_SIZE], char *error, size_t size)
{
	char path[4096];

	for (size_t i = 0; i < from->links.count; i++) {
		const char *link = from->links.item[i];

		snprintf(key, LANGUAGE_KEY_SIZE, "links.[%zu]", i);
		snprintf(path, sizeof path, "%.*s", (int)strcspn(link, "="), link);
		if (rootfs_add_link(fs, path, strchr(link, '=') + 1, error, size) != 0)
			return -1;
	}
	return 0;
}

/*
 * A compiled program is a file without a name. By this link the launcher executes it under the name
 * that it has outside, which the kernel shows in ps(1).
 */
static int
add_program_name(struct rootfs *fs, const struct language_config *from, char *error, size_t size)
{
	char path[4096], target[64];

	if (!config_is_compiled(from) || from->run.count > 0)
		return 0;
	snprintf(path, sizeof path, PATH_PROGRAMS "/%s", from->compile.output);
	snprintf(target, sizeof target, PATH_PROC "/self/fd/%d", GUEST_OUTPUT_FD);
	return rootfs_add_plain_link(fs, path, target, error, size);
}

/*
 * Add the library that makes an interpreter a zygote or a spare, or the name of a compiled program,
 * where they are needed; like add_paths.
 */
static int
add_hook(struct rootfs *fs, const struct language *language, char key[LANGUAGE_KEY_SIZE], char *error, size_t size)
{
	const struct language_config *from = language->config;
	char path[4096];

	if (from->start == START_COLD || from->run.count == 0)
		return add_program_name(fs, from, error, size);
	snprintf(path, sizeof path, "%s/hook/hook.so", language->all->driver_dir);
	blame(key, "start");
	return rootfs_add_at(fs, HOOK_LIBRARY, path, error, size);
}

/*
 * Add the set of packages that the language has, if any, and make its interpreter that of the set.
 * Returns 0, or -1 with a text.
 */
static int
add_packages(struct language *language, char *error, size_t size)
{
	const struct language_config *from = language->config;
	char set[LANGUAGE_PATH_SIZE - 32], path[LANGUAGE_PATH_SIZE];

	if (config_dependencies_find(from, set, sizeof set) != 0)
		return 0;
	language->packages_fd = open(set, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (language->packages_fd < 0) {
		snprintf(error, size, "%s: %s", set, strerror(errno));
		return -1;
	}
	snprintf(path, sizeof path, PACKAGES_PLACE "/%s", from->name);
	if (rootfs_add_at(&language->fs, path, set, error, size) != 0)
		return -1;
	if (from->packages == PACKAGES_PIP) {
		snprintf(language->interpreter, sizeof language->interpreter, PACKAGES_PLACE "/%s/bin/python3", from->name);
		return 0;
	}
	/* Node searches this directory for both require and import, because /box is below "/". */
	snprintf(path, sizeof path, PACKAGES_PLACE "/%s/node_modules", from->name);
	return rootfs_add_link(&language->fs, "/node_modules", path, error, size);
}

/*
 * Look up all paths of the root, and the version. Returns 0, or -1 with a text: the language is
 * missing. `key` is then the setting to blame.
 */
static int
look_up(struct language *language, uid_t probe_uid, char key[LANGUAGE_KEY_SIZE], char *error, size_t size)
{
	const struct language_config *from = language->config;
	const char *driver_dir = language->all->driver_dir;
	struct rootfs *fs = &language->fs;
	char path[4096];

	blame(key, "root");
	if (!from->has_root && rootfs_add_machine(fs, error, size) != 0)
		return -1;
	blame(key, "interpreter");
	if (from->interpreter != NULL && add_program(fs, from->interpreter, error, size) != 0)
		return -1;
	if (from->interpreter != NULL)
		snprintf(language->interpreter, sizeof language->interpreter, "%s", from->interpreter);
	blame(key, "packages");
	if (add_packages(language, error, size) != 0)
		return -1;
	blame(key, "run");
	if (from->run.count > 0 && add_program(fs, from->run.item[0], error, size) != 0)
		return -1;
	blame(key, "compile.command");
	if (config_is_compiled(from) && add_program(fs, from->compile.command.item[0], error, size) != 0)
		return -1;
	if (add_paths(fs, "root", &from->root, key, error, size) != 0 ||
	    add_paths(fs, "more_root", &from->more_root, key, error, size) != 0)
		return -1;
	if (add_links(fs, from, key, error, size) != 0)
		return -1;
	blame(key, from->driver != NULL ? "interpreter" : "version");
	if (from->driver != NULL) {
		const struct driver *driver = driver_find(from->driver);

		snprintf(path, sizeof path, "%s/%s/%s", driver_dir, driver->name, driver->probe);
		if (probe_interpreter(from->interpreter, driver->probe_args, path, probe_uid, fs, language->version, error,
		        size) != 0)
			return -1;
	} else if (probe_version(&from->version, probe_uid, language->version, error, size) != 0) {
		return -1;
	}
	if (add_hook(fs, language, key, error, size) != 0)
		return -1;
	return add_certificates(fs, language->all, error, size);
}

/*
 * Whether the language gets a root: one that is MISSING does, if its programs may appear there. At
 * level chroot a root is a copy, in which nothing appears.
 */
static bool
has_root(const struct language *language)
{
	return language->state != LANGUAGE_MISSING ||
	    (!language->config->has_root && language->all->level == LEVEL_NAMESPACES && language->fs.count > 0);
}

/*
 * Make the list of the root of a language that is MISSING, from what there is of it. Returns 0, or
 * -1 with a text.
 */
static int
expect(struct language *language, char *error, size_t size)
{
	const struct language_config *from = language->config;
	struct rootfs *fs = &language->fs;
	char key[LANGUAGE_KEY_SIZE], why[PROTO_TEXT_SIZE];

	rootfs_free(fs);
	if (from->has_root || language->all->level != LEVEL_NAMESPACES)
		return 0;
	if (rootfs_init(fs, error, size) != 0 || rootfs_add_machine(fs, error, size) != 0)
		return -1;
	/* A path of its own that is missing, too, is missing until the next start. */
	if (add_paths(fs, "more_root", &from->more_root, key, why, sizeof why) != 0 ||
	    add_links(fs, from, key, why, sizeof why) != 0 || add_hook(fs, language, key, why, sizeof why) != 0)
		rootfs_free(fs);
	return fs->count == 0 ? 0 : add_certificates(fs, language->all, error, size);
}

/* The number of zygotes that make the cells of a pool. */
static uint32_t
zygotes_of(const struct language *language, uint32_t pool)
{
	const struct language_config *from = language->config;
	uint32_t kind = pool / GRANT_COUNT;

	return kind < from->warm_count && pool % GRANT_COUNT == language_usual_grant(language) ? from->warm[kind].zygotes : 1;
}

/*
 * Find the driver and compile the policy. Returns 0, or -1 with a text: no runner may start. `key`
 * is then the setting to blame.
 */
static int
read_policy(struct language *language, struct policy_cache *policies, char key[LANGUAGE_KEY_SIZE], char *error, size_t size)
{
	const struct language_config *from = language->config;
	const char *policy_dir = language->all->policy_dir;
	char path[4096];

	blame(key, "driver");
	if (from->driver != NULL && driver_find(from->driver) == NULL) {
		snprintf(error, size, "%s: driver \"%s\" is unknown; allowed: " DRIVER_NAMES, from->file, from->driver);
		return -1;
	}
	blame(key, "policy");
	snprintf(path, sizeof path, "%s/%s.conf", policy_dir, from->policy);
	if (access(path, F_OK) != 0) {
		snprintf(error, size, "%s: policy \"%s\": %s: %s", from->file, from->policy, path, strerror(errno));
		return -1;
	}
	language->policy = policy_cache_get(policies, from->policy, error, size);
	if (language->policy != NULL && language->policy->last.count == 0) {
		snprintf(error, size, "%s: has no calls for zygotes: not a policy for a language", path);
		return -1;
	}
	return language->policy == NULL ? -1 : 0;
}

enum language_check
language_prepare_check(const struct config *config, const struct language_config *from, uid_t probe_uid,
    struct policy_cache *policies, char version[PROTO_NAME_SIZE], char key[LANGUAGE_KEY_SIZE], char *error, size_t size)
{
	struct language *language = calloc(1, sizeof *language);
	enum language_check result = LANGUAGE_GOOD;

	if (language == NULL)
		die("out of memory");
	language->all = config;
	language->config = from;
	language->packages_fd = -1;
	if (read_policy(language, policies, key, error, size) != 0 || rootfs_init(&language->fs, error, size) != 0)
		result = LANGUAGE_WRONG;
	else if (look_up(language, probe_uid, key, error, size) != 0)
		result = LANGUAGE_NOT_HERE;
	memcpy(version, language->version, PROTO_NAME_SIZE);
	fdpass_close(&language->packages_fd, 1);
	policy_free(language->policy);
	rootfs_free(&language->fs);
	free(language);
	return result;
}

int
language_prepare(struct language *language, const struct config *config, const struct language_config *from, uid_t probe_uid,
    struct policy_cache *policies, char *error, size_t size)
{
	uint32_t pairs = 0;
	char key[LANGUAGE_KEY_SIZE];

	*language = (struct language){ .all = config,
		.config = from,
		.start = from->start,
		.state = from->idle_s == 0 ? LANGUAGE_STARTING : LANGUAGE_ASLEEP,
		.driver_tree_fd = -1,
		.cell_mount_fd = -1,
		.zygote_mount_fd = -1,
		.root_fd = -1,
		.trees_fd = -1,
		.packages_fd = -1,
		.warden = { .sock = -1 },
		.compiler = { .answer = { .fd = -1 } } };
	for (size_t pool = 0; pool < LANGUAGE_POOLS; pool++)
		language->setup_fd[pool] = -1;
	if (read_policy(language, policies, key, error, size) != 0 || rootfs_init(&language->fs, error, size) != 0)
		return -1;
	if (look_up(language, probe_uid, key, language->reason, sizeof language->reason) != 0) {
		language->state = LANGUAGE_MISSING;
		log_warn("%s is not available: %s", from->name, language->reason);
		if (expect(language, error, size) != 0)
			return -1;
	}
	if (!has_root(language))
		return 0;
	language->kinds = (uint32_t)from->warm_count + (from->start != START_COLD && from->run.count > 0);
	for (uint32_t pool = 0; pool < language->kinds * GRANT_COUNT; pool++)
		pairs += zygotes_of(language, pool);
	language->zygote_count = 2 * (size_t)pairs;
	language->zygote = calloc(language->zygote_count, sizeof *language->zygote);
	if (language->zygote == NULL) {
		snprintf(error, size, "out of memory");
		return -1;
	}
	for (uint32_t pool = 0, z = 0; pool < language->kinds * GRANT_COUNT; pool++) {
		for (uint32_t i = 0; i < zygotes_of(language, pool); i++, z++)
			language_place_zygote(language, z, pairs, pool);
	}
	language_want_armed(language);
	return 0;
}

int
language_prepare_clones(struct language *language, const struct config *config, char *error, size_t size)
{
	char path[4096];

	if (!has_root(language))
		return 0;
	if (rootfs_open(&language->fs, error, size) != 0)
		return -1;
	if (language->config->driver == NULL)
		return 0;
	snprintf(path, sizeof path, "%s/%s", config->driver_dir, language->config->driver);
	language->driver_tree_fd = rootfs_clone(path, error, size);
	return language->driver_tree_fd < 0 ? -1 : 0;
}

void
language_prepare_free(struct language *language)
{
	fdpass_close(&language->driver_tree_fd, 1);
	fdpass_close(&language->cell_mount_fd, 1);
	fdpass_close(&language->zygote_mount_fd, 1);
	fdpass_close(&language->root_fd, 1);
	fdpass_close(&language->trees_fd, 1);
	fdpass_close(&language->packages_fd, 1);
	fdpass_close(language->setup_fd, LANGUAGE_POOLS);
	policy_free(language->policy);
	rootfs_free(&language->fs);
	free(language->zygote);
}

/* ---- the root -------------------------------------------------------------------------------- */

/*
 * Make the root of the zygotes: that of the cells, with files in the place of a run's working
 * directory. These are the driver, so that no path of it is left in a cell; or, for hook.so, an
 * empty main file, for interpreters that look before they open.
 */
static int
build_zygotes_root(struct language *language, int proc_fd)
{
	int main_fd;

	if (unshare(CLONE_NEWNS) != 0)
		return -1;
	if (language->driver_tree_fd >= 0) {
		if (rootfs_attach(language->driver_tree_fd, PATH_BOX) != 0)
			return -1;
	} else {
		if (mount("zygote", PATH_BOX, "tmpfs", MS_NOSUID | MS_NODEV, "size=64k,mode=755") != 0 || chdir(PATH_BOX) != 0 ||
		    (main_fd = open(language->config->main_file, O_CREAT | O_CLOEXEC, 0644)) < 0)
			return -1;
		close(main_fd);
	}
	language->zygote_mount_fd = openat(proc_fd, "self/ns/mnt", O_RDONLY | O_CLOEXEC);
	return language->zygote_mount_fd < 0 || chdir("/") != 0 ? -1 : 0;
}

static int
write_setups(struct language *language, const struct zygote_setup *common, char *error, size_t size)
{
	for (uint32_t pool = 0; pool < language->kinds * GRANT_COUNT; pool++) {
		language->setup_fd[pool] = write_setup(language, pool, common);
		if (language->setup_fd[pool] < 0) {
			snprintf(error, size, "write a zygote's setup: %s", strerror(errno));
			return -1;
		}
	}
	policy_forget_filters(language->policy);
	return 0;
}

int
language_prepare_root(struct language *language, int proc_fd, const struct cell_proc *proc, const struct etc_mount *etc,
    const struct zygote_setup *common, char *error, size_t size)
{
	if (!has_root(language))
		return 0;
	if (unshare(CLONE_NEWNS) != 0) {
		snprintf(error, size, "make a mount namespace: %s", strerror(errno));
		return -1;
	}
	if (rootfs_enter(&language->fs, proc, etc, error, size) != 0)
		return -1;
	if (language->state == LANGUAGE_MISSING && (language->root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0) {
		snprintf(error, size, "keep the root: %s", strerror(errno));
		return -1;
	}
	language->cell_mount_fd = openat(proc_fd, "self/ns/mnt", O_RDONLY | O_CLOEXEC);
	if (language->cell_mount_fd < 0) {
		snprintf(error, size, "keep the root: %s", strerror(errno));
		return -1;
	}
	if (language->start == START_ZYGOTE && build_zygotes_root(language, proc_fd) != 0) {
		snprintf(error, size, "make the zygotes' root: %s", strerror(errno));
		return -1;
	}
	fdpass_close(&language->driver_tree_fd, 1);
	return write_setups(language, common, error, size);
}

int
language_prepare_trees(struct language *language, int dir_fd, const struct zygote_setup *common, char *error, size_t size)
{
	if (language->state == LANGUAGE_MISSING)
		return 0;
	if (mkdirat(dir_fd, language->config->name, 0700) != 0 ||
	    (language->trees_fd = openat(dir_fd, language->config->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) {
		snprintf(error, size, "make the directory of its trees: %s", strerror(errno));
		return -1;
	}
	return write_setups(language, common, error, size);
}
