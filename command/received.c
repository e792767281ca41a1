/*
 * received.c - see received.h.
 *
 * The names are a stranger's. The kernel resolves each below the directory without following any
 * symbolic link (openat2(2)), so it does not matter what names say or what is in the directory.
 */
#define _GNU_SOURCE
#include "received.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base64.h"
#include "outcome.h"
#include "say.h"

#define TEMPORARY ".cellblock-new"

static int
open_below(int directory, const char *path, int flags, mode_t mode)
{
	struct open_how how = { .flags = (uint64_t)(flags | O_CLOEXEC),
		.mode = mode,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS };

	return (int)syscall(SYS_openat2, directory, path, &how, sizeof how);
}

/* Whether each part of a path is a name: neither empty nor "." nor "..". */
static bool
is_plain(const char *path)
{
	for (;;) {
		size_t length = strcspn(path, "/");

		if (length == 0 || (length == 1 && *path == '.') || (length == 2 && strncmp(path, "..", 2) == 0))
			return false;
		if (path[length] == '\0')
			return true;
		path += length + 1;
	}
}

/*
 * Open the directory of a path, and make those that are missing. Sets *name. Returns it, or -1 with
 * errno.
 */
static int
open_parent(int directory, char *path, const char **name)
{
	int parent = open_below(directory, ".", O_PATH | O_DIRECTORY, 0);
	char *part = path, *slash;

	while (parent >= 0 && (slash = strchr(part, '/')) != NULL) {
		int next, error;

		*slash = '\0';
		next = mkdirat(parent, part, 0777) != 0 && errno != EEXIST ? -1 :
		                                                             open_below(parent, part, O_PATH | O_DIRECTORY, 0);
		error = errno;
		*slash = '/';
		close(parent);
		errno = error;
		parent = next;
		part = slash + 1;
	}
	*name = part;
	return parent;
}

static int
write_all(int fd, const char *bytes, size_t size)
{
	while (size > 0) {
		ssize_t n = write(fd, bytes, size);

		if (n < 0 && errno != EINTR)
			return -1;
		if (n > 0) {
			bytes += n;
			size -= (size_t)n;
		}
	}
	return 0;
}

/* A file appears whole or not at all. Returns 0, or -1 with errno. */
static int
write_in(int parent, const char *name, const char *bytes, size_t size)
{
	int fd, result, error;

	unlinkat(parent, TEMPORARY, 0);
	fd = open_below(parent, TEMPORARY, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0666);
	if (fd < 0)
		return -1;
	result = write_all(fd, bytes, size);
	if (close(fd) != 0)
		result = -1;
	if (result == 0)
		result = renameat(parent, TEMPORARY, parent, name);
	error = errno;
	if (result != 0)
		unlinkat(parent, TEMPORARY, 0);
	errno = error;
	return result;
}

static int
write_file(int directory, const char *path, const char *bytes, size_t size)
{
	char *copy = strdup(path);
	const char *name;
	int parent, result, error;

	if (copy == NULL)
		say_no_memory();
	parent = open_parent(directory, copy, &name);
	result = parent < 0 ? -1 : write_in(parent, name, bytes, size);
	error = errno;
	if (parent >= 0)
		close(parent);
	free(copy);
	errno = error;
	return result;
}

/* The bytes of a file's content, for free(), and their number; NULL: there are none. */
static char *
decode(struct json_object *file, size_t *size)
{
	struct json_object *content = NULL;
	bool is_base64 = strcmp(outcome_text(file, "encoding", "utf-8"), "base64") == 0;
	char *bytes;

	json_object_object_get_ex(file, "content", &content);
	if (!json_object_is_type(content, json_type_string))
		return NULL;
	*size = (size_t)json_object_get_string_len(content);
	bytes = malloc(*size + 1);
	if (bytes == NULL)
		say_no_memory();
	if (is_base64)
		*size = base64_decode(json_object_get_string(content), *size, bytes);
	else
		memcpy(bytes, json_object_get_string(content), *size);
	if (*size != (size_t)-1)
		return bytes;
	free(bytes);
	return NULL;
}

static int
take_file(int directory, struct json_object *file)
{
	const char *path = outcome_text(file, "path", ""), *reason = outcome_text(file, "reason", NULL);
	struct json_object *truncated = NULL, *name = NULL;
	size_t size;
	char *bytes;
	int result;

	json_object_object_get_ex(file, "path", &name);
	if (!is_plain(path) || strlen(path) != (size_t)json_object_get_string_len(name)) {
		say_line("%s: is not written: the name leads out of the directory", path);
		return -1;
	}
	if (reason != NULL) {
		say_line("%s: is not returned: %s", path, reason);
		return -1;
	}
	bytes = decode(file, &size);
	if (bytes == NULL) {
		say_line("%s: the service has sent no content", path);
		return -1;
	}
	result = write_file(directory, path, bytes, size);
	free(bytes);
	if (result != 0) {
		say_line("%s: is not written: %s", path, strerror(errno));
		return -1;
	}
	if (json_object_object_get_ex(file, "truncated", &truncated) && json_object_get_boolean(truncated)) {
		say_line("%s: is cut at %zu bytes", path, size);
		return -1;
	}
	return 0;
}

int
received_write(struct json_object *data, const char *directory)
{
	struct json_object *files = NULL, *collect = NULL, *complete = NULL;
	int fd, result = 0;

	if (!json_object_object_get_ex(data, "files", &files) || !json_object_is_type(files, json_type_array))
		return 0;
	if (mkdir(directory, 0777) != 0 && errno != EEXIST) {
		say_line("%s: %s", directory, strerror(errno));
		return -1;
	}
	fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC); /* the user's own choice: it may be a link */
	if (fd < 0) {
		say_line("%s: %s", directory, strerror(errno));
		return -1;
	}
	for (size_t i = 0; i < json_object_array_length(files); i++) {
		if (take_file(fd, json_object_array_get_idx(files, i)) != 0)
			result = -1;
	}
	close(fd);
	if (json_object_object_get_ex(data, "collect", &collect) && json_object_object_get_ex(collect, "complete", &complete) &&
	    !json_object_get_boolean(complete)) {
		say_line("more files match than are returned: %s", outcome_text(collect, "reason", "unknown"));
		result = -1;
	}
	return result;
}
