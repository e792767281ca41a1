/*
 * parent.c - see parent.h. Runs with the rights of the start for as long as the service, since each
 * generation needs them: so it is small, and reads nothing that another process has written.
 */
#define _GNU_SOURCE
#include "start/parent.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "door/door.h"
#include "generations.h"
#include "log.h"
#include "start/cgroup_open.h"
#include "start/host.h"

/*
 * The path of the socket, for a parent that continues: the configuration may have another one by
 * then.
 */
#define SOCKET_VARIABLE "CELLBLOCK_SOCKET"

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

/*
 * The programs of the languages: what is installed or removed is noticed by them. Returns a list
 * that the caller frees, and sets its length. Dies without memory.
 */
static const char **
list_programs(const struct config *config, size_t *count)
{
	const char **path = calloc(CONFIG_MAX_LANGUAGES * 4, sizeof *path);

	if (path == NULL)
		die("out of memory");
	*count = 0;
	for (size_t i = 0; i < config->language_count; i++) {
		const struct language_config *language = config->language[i];

		if (language->interpreter != NULL)
			path[(*count)++] = language->interpreter;
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
	const char *path = generations_continue() ? getenv(SOCKET_VARIABLE) : config->socket_path;
	char *copy = path == NULL ? NULL : strdup(path);

	if (copy == NULL || setenv(SOCKET_VARIABLE, copy, 1) != 0)
		die("remember the path of the socket");
	return copy;
}

int
parent_run(const struct config *config, char *const *argv)
{
	struct generations what = { .name = "runner",
		.argv = argv,
		.listen_fd = -1,
		.most = HOST_SLOTS,
		.moved_signal = SIGUSR2,
		.stop = remove_socket,
		.ended = remove_groups };
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
	if (!generations_continue())
		what.listen_fd = door_listen(config);
	status = generations_run(&what);
	free(what.context);
	free(programs);
	return status;
}
