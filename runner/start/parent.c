/*
 * parent.c - see parent.h. Runs with the rights of the start for as long as the service, since each
 * generation needs them: so it is small, and reads nothing that another process has written.
 */
#define _GNU_SOURCE
#include "start/parent.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "door/door.h"
#include "generations.h"
#include "log.h"
#include "start/cgroup_open.h"
#include "start/host.h"
#include "start/level.h"

/*
 * The path of the socket, for a parent that continues: the configuration may have another one by
 * then.
 */
#define SOCKET_VARIABLE "CELLBLOCK_SOCKET"

/*
 * The same for its control group of version 2: the group, the one that it came from, and the
 * controllers that are to be disabled at the end, a line each.
 */
#define OWN_GROUP_VARIABLE "CELLBLOCK_OWN_GROUP"

#define OWN_NAME_SIZE (HOST_NAME_SIZE + 8)

static void
remove_socket(void *context)
{
	const char *path = context;

	if (unlink(path) != 0 && errno != ENOENT)
		log_warn("remove %s: %s", path, strerror(errno));
}

/* A runner that has given up its rights cannot remove the control groups that it made with them. */
static void
remove_groups(void *context, uint32_t slot)
{
	char name[HOST_NAME_SIZE];

	host_instance_name(context, slot, name);
	cgroup_open_clean(name);
}

/* The name of the parent's own group. */
static void
own_group_name(const char *socket_path, char name[OWN_NAME_SIZE])
{
	char instance[HOST_NAME_SIZE];

	host_instance_name(socket_path, 0, instance);
	snprintf(name, OWN_NAME_SIZE, "%s-parent", instance);
}

/*
 * With version 2, go into a group beside those of the generations: the group above them can have
 * controllers for them only if it has no process. If that fails, the generation reports what it
 * cannot do.
 */
static void
enter_group(const struct config *config, struct cgroup_tree *tree)
{
	char name[OWN_NAME_SIZE], error[512], *text, *slash;

	if (config->cgroup == LAYER_OFF || !cgroup_open_is_version_2(config->cgroup_parent))
		return;
	own_group_name(config->socket_path, name);
	if (cgroup_open(tree, config->cgroup_parent, name, geteuid(), error, sizeof error) != 0)
		return;
	cgroup_open_close(tree);
	if (asprintf(&text, "%s\n%s\n%s", tree->path[0], tree->home, tree->disable) < 0 ||
	    setenv(OWN_GROUP_VARIABLE, text, 1) != 0)
		die("out of memory");
	free(text);
	slash = strrchr(tree->path[0], '/');
	if (asprintf(&text, "%.*s", (int)(slash - tree->path[0]), tree->path[0]) < 0 || setenv(PARENT_GROUP, text, 1) != 0)
		die("out of memory");
	free(text);
}

/* The same for a parent that continues: it is there already. */
static void
remember_group(struct cgroup_tree *tree)
{
	const char *text = getenv(OWN_GROUP_VARIABLE);

	if (text != NULL && sscanf(text, "%255[^\n]\n%511[^\n]\n%31[^\n]", tree->path[0], tree->home, tree->disable) >= 2)
		tree->version = 2;
}

/* Leave it, so that nothing of it stays. */
static void
leave_group(struct cgroup_tree *tree)
{
	if (tree->version != 2)
		return;
	for (int c = 0; c < CGROUP_CONTROLLERS; c++)
		tree->root_fd[c] = -1;
	for (int c = 1; c < CGROUP_CONTROLLERS; c++)
		tree->path[c][0] = '\0';
	tree->root_fd[0] = open(tree->path[0], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cgroup_open_undo(tree);
}

/*
 * The programs of the languages, and the links to their packages: a program that is installed or
 * removed, and a new set of packages, are noticed by them. Returns a list
 * that the caller frees, and sets its length. Dies without memory.
 */
static const char **
list_programs(const struct config *config, size_t *count)
{
	const char **path = calloc(CONFIG_MAX_LANGUAGES * 5, sizeof *path);

	if (path == NULL)
		die("out of memory");
	*count = 0;
	for (size_t i = 0; i < config->language_count; i++) {
		const struct language_config *language = config->language[i];

		if (language->interpreter != NULL)
			path[(*count)++] = language->interpreter;
		if (language->packages_link != NULL)
			path[(*count)++] = language->packages_link;
		if (language->run.count > 0)
			path[(*count)++] = language->run.item[0];
		if (config_is_compiled(language))
			path[(*count)++] = language->compile.command.item[0];
		if (language->version.count > 0)
			path[(*count)++] = language->version.item[0];
	}
	return path;
}

/* The path of the socket, in memory of its own. Dies without memory. */
static char *
socket_path(const struct config *config)
{
	const char *path = config == NULL || generations_continue() ? getenv(SOCKET_VARIABLE) : config->socket_path;
	char *copy = path == NULL ? NULL : strdup(path);

	if (copy == NULL || setenv(SOCKET_VARIABLE, copy, 1) != 0)
		die("remember the path of the socket");
	return copy;
}

void
parent_clean(const char *socket_path)
{
	char name[OWN_NAME_SIZE];

	own_group_name(socket_path, name);
	cgroup_open_clean(name);
}

int
parent_run(const struct config *config, char *const *argv)
{
	struct generations what = { .name = "runner",
		.argv = argv,
		.listen_fd = -1,
		.most = HOST_SLOTS,
		.moved_signal = SIGUSR2,
		.alone_signal = SIGUSR1,
		.stop = remove_socket,
		.ended = remove_groups };
	struct cgroup_tree group = { .version = 0 };
	const char **programs = NULL;
	int status;

	/* Nobody may look into a process with these rights. */
	if (geteuid() == 0 && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
		die("PR_SET_DUMPABLE: %s", strerror(errno));
	if (config != NULL) {
		programs = list_programs(config, &what.watched_count);
		what.watched = programs;
		what.processes = 1;
		what.drain_ms = config->drain_ms;
	}
	what.context = socket_path(config);
	if (config == NULL || generations_continue()) {
		remember_group(&group);
	} else {
		/* A generation checks the level, too, but the socket comes first. */
		if (config->level == LEVEL_CHROOT)
			level_find(config->level)->check(config);
		what.listen_fd = door_listen(config);
		enter_group(config, &group);
	}
	status = generations_run(&what);
	leave_group(&group);
	free(what.context);
	free(programs);
	return status;
}
