/* watch.c - see watch.h. */
#define _GNU_SOURCE
#include "watch.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "exit_codes.h"
#include "say.h"

#define QUIET_MS 30 /* an editor writes a file in several steps */

struct watch {
	int fd;
	size_t count;
	struct watched {
		int directory; /* of inotify */
		char *name;
	} * file;
};

static void
add(struct watch *watch, const char *path, struct watched *file)
{
	const char *slash = strrchr(path, '/');
	char *directory = slash == NULL ? strdup(".") : strndup(path, slash == path ? 1 : (size_t)(slash - path));

	file->name = strdup(slash == NULL ? path : slash + 1);
	if (directory == NULL || file->name == NULL)
		say_no_memory();
	file->directory = inotify_add_watch(watch->fd, directory,
	    IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_ATTRIB | IN_ONLYDIR);
	if (file->directory < 0)
		say_fatal(EXIT_USE, "--watch: %s: %s", directory, strerror(errno));
	free(directory);
}

struct watch *
watch_open(const char *const *paths, size_t count)
{
	struct watch *watch = calloc(1, sizeof *watch);

	if (watch == NULL || (watch->file = calloc(count, sizeof *watch->file)) == NULL)
		say_no_memory();
	watch->fd = inotify_init1(IN_CLOEXEC);
	if (watch->fd < 0)
		say_fatal(EXIT_USE, "--watch: %s", strerror(errno));
	watch->count = count;
	for (size_t i = 0; i < count; i++)
		add(watch, paths[i], &watch->file[i]);
	return watch;
}

/* Read what has happened. Returns whether it concerns one of the files. */
static bool
take_events(struct watch *watch)
{
	_Alignas(struct inotify_event) char events[16384];
	ssize_t size = read(watch->fd, events, sizeof events);
	bool concerns = false;

	if (size < 0 && errno != EINTR)
		say_fatal(EXIT_USE, "--watch: %s", strerror(errno));
	for (ssize_t at = 0; at < size;) {
		const struct inotify_event *event = (const struct inotify_event *)(const void *)(events + at);

		if ((event->mask & IN_Q_OVERFLOW) != 0)
			concerns = true; /* some events are missing */
		for (size_t i = 0; event->len > 0 && i < watch->count; i++)
			concerns = concerns ||
			    (watch->file[i].directory == event->wd && strcmp(watch->file[i].name, event->name) == 0);
		at += (ssize_t)(sizeof *event + event->len);
	}
	return concerns;
}

void
watch_wait(struct watch *watch)
{
	struct pollfd ready = { .fd = watch->fd, .events = POLLIN };
	bool has_changed = false;
	int n;

	do {
		n = poll(&ready, 1, has_changed ? QUIET_MS : -1);
		if (n > 0 && take_events(watch))
			has_changed = true;
	} while (n != 0);
}

void
watch_close(struct watch *watch)
{
	for (size_t i = 0; i < watch->count; i++)
		free(watch->file[i].name);
	close(watch->fd);
	free(watch->file);
	free(watch);
}
