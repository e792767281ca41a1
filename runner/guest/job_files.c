/*
 * job_files.c - see job_files.h. Runs in a guest, inside of its cell and behind all of its walls.
 *
 * The guest writes the files itself, as the user that its program will be: it can reach nothing
 * that its program could not. The cell is new, and nobody else is in it. So no name can change
 * between two steps. Each directory is opened by its descriptor all the same, and no link is
 * followed.
 */
#define _GNU_SOURCE
#include "guest/job_files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest/guest.h"

#define EXIT_NOT_STARTED 127

/* The bytes of a file in the job, behind its path. */
static uint64_t
bytes_here(const struct job_file *head)
{
	return (head->flags & JOB_FILE_PACKED) != 0 ? sizeof(struct job_packed) : head->size;
}

bool
job_files_next(struct job_files *files, struct job_file *head, const char **path, const char **content)
{
	if (files->left < sizeof *head)
		return false;
	memcpy(head, files->at, sizeof *head);
	files->at += sizeof *head;
	files->left -= sizeof *head;
	if (head->path_bytes < 2 || head->path_bytes > files->left || bytes_here(head) > files->left - head->path_bytes ||
	    memchr(files->at, '\0', head->path_bytes) != files->at + head->path_bytes - 1)
		return false;
	*path = files->at;
	*content = files->at + head->path_bytes;
	files->at += head->path_bytes + bytes_here(head);
	files->left -= head->path_bytes + bytes_here(head);
	return true;
}

/* Errno says why a file could not be written. */
static void __attribute__((noreturn)) fail(const char *path)
{
	if (!guest_is_disk_full())
		guest_fail("write the run's files");
	dprintf(STDERR_FILENO, "%s: %s\n", path, strerror(errno));
	_exit(EXIT_NOT_STARTED);
}

/* Open the directory of a path, and make those on the way. *name: the rest of the path. */
static int
open_directory(const char *path, const char **name)
{
	int dir = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	const char *slash;

	while (dir >= 0 && (slash = strchr(path, '/')) != NULL) {
		char component[NAME_MAX + 1];
		int parent = dir, error;

		if ((size_t)(slash - path) >= sizeof component) {
			errno = ENAMETOOLONG;
			dir = -1;
		} else {
			memcpy(component, path, (size_t)(slash - path));
			component[slash - path] = '\0';
			dir = mkdirat(parent, component, 0755) != 0 && errno != EEXIST ?
			    -1 :
			    openat(parent, component, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		}
		error = errno;
		close(parent);
		errno = error;
		path = slash + 1;
	}
	*name = path;
	return dir;
}

static void
write_file(const struct job_file *head, const char *path, const char *content)
{
	mode_t mode = (head->flags & JOB_FILE_EXECUTABLE) != 0 ? 0755 : 0644;
	const char *name;
	int dir = open_directory(path, &name), fd;

	if (dir < 0)
		fail(path);
	fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	if (fd < 0)
		fail(path);
	for (uint64_t at = 0; at < head->size;) {
		ssize_t n = write(fd, content + at, head->size - at);

		if (n <= 0)
			fail(path);
		at += (uint64_t)n;
	}
	close(fd);
	close(dir);
}

/* The content of a file, here or in the pack. Returns false if the pack does not have it. */
static bool
find_content(const struct job_file *head, const struct job_pack *pack, const char **content)
{
	struct job_packed packed;

	if ((head->flags & JOB_FILE_PACKED) == 0)
		return true;
	memcpy(&packed, *content, sizeof packed);
	if (packed.at > pack->size || head->size > pack->size - packed.at)
		return false;
	*content = head->size == 0 ? "" : pack->bytes + packed.at;
	return true;
}

void
job_files_write(struct job_files files, uint32_t count, const struct job_pack *pack)
{
	struct job_file head;
	const char *path, *content;

	for (uint32_t i = 0; i < count; i++) {
		if (!job_files_next(&files, &head, &path, &content) || !find_content(&head, pack, &content)) {
			errno = EPROTO;
			guest_fail("read the run's files");
		}
		write_file(&head, path, content);
	}
}
