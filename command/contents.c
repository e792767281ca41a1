/* contents.c - see contents.h. */
#define _GNU_SOURCE
#include "contents.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "json_text.h"
#include "say.h"

#define FIRST_ROOM 65536
#define MOST ((size_t)1 << 30)

static int
read_all(int fd, struct contents *contents)
{
	size_t room = 0;
	ssize_t n;

	*contents = (struct contents){ .bytes = NULL };
	do {
		if (contents->size + 1 >= room) {
			room = room == 0 ? FIRST_ROOM : 2 * room;
			contents->bytes = realloc(contents->bytes, room);
			if (contents->bytes == NULL)
				say_no_memory();
		}
		n = read(fd, contents->bytes + contents->size, room - contents->size - 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n > 0)
			contents->size += (size_t)n;
		if (contents->size > MOST) {
			errno = EFBIG;
			n = -1;
		}
	} while (n > 0 || (n < 0 && errno == EINTR));
	contents->bytes[contents->size] = '\0';
	if (n == 0)
		return 0;
	free(contents->bytes);
	contents->bytes = NULL;
	return -1;
}

int
contents_read(const char *path, struct contents *contents)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY), result, error;
	struct stat found;

	if (fd < 0)
		return -1;
	result = fstat(fd, &found);
	if (result == 0 && S_ISDIR(found.st_mode)) {
		errno = EISDIR;
		result = -1;
	}
	if (result == 0)
		result = read_all(fd, contents);
	error = errno;
	close(fd);
	errno = error;
	if (result == 0)
		contents->is_executable = (found.st_mode & 0111) != 0;
	return result;
}

int
contents_read_stdin(struct contents *contents)
{
	return read_all(STDIN_FILENO, contents);
}

bool
contents_is_utf8(const struct contents *contents)
{
	return json_text_well_formed(contents->bytes, contents->size) == contents->size;
}
