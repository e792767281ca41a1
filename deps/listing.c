/* listing.c - see listing.h. */
#define _GNU_SOURCE
#include "listing.h"

#include <errno.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cell.h"
#include "config_dependencies.h"

#define SCRIPT_MAX 16384
#define LIST_MAX (16 << 20)

/* The scripts, which are installed beside the drivers. */
static const char *const scripts[] = { [PACKAGES_PIP] = "list_pip.py", [PACKAGES_NPM] = "list_npm.js" };

/* Where Debian's packages for Node are, for programs below "/": after those of the set. */
static const char *const node_paths[] = { "/usr/lib/nodejs", "/usr/share/nodejs", "/usr/lib/node_modules" };

/* Read a script. Returns 0, or -1 with one line in `error`. */
static int
read_script(const struct config *config, const char *name, char text[SCRIPT_MAX], char *error, size_t size)
{
	char path[PATH_MAX];
	FILE *file;
	size_t n = 0;

	snprintf(path, sizeof path, "%s/deps/%s", config->driver_dir, name);
	file = fopen(path, "re");
	if (file != NULL) {
		n = fread(text, 1, SCRIPT_MAX - 1, file);
		fclose(file);
	}
	text[n] = '\0';
	if (n > 0)
		return 0;
	snprintf(error, size, "read %s: %s", path, strerror(errno));
	return -1;
}

/* Read and check the answer. Returns it, or NULL with one line in `error`. */
static struct json_object *
parse(int fd, char *error, size_t size)
{
	struct json_object *list = NULL;
	struct stat st;
	void *text;

	if (fstat(fd, &st) == 0 && st.st_size > 0 && st.st_size <= LIST_MAX) {
		text = mmap(NULL, (size_t)st.st_size + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
		if (text != MAP_FAILED) {
			struct json_tokener *tokener = json_tokener_new();

			list = tokener != NULL ? json_tokener_parse_ex(tokener, text, (int)st.st_size) : NULL;
			if (tokener != NULL)
				json_tokener_free(tokener);
			munmap(text, (size_t)st.st_size + 1);
		}
	}
	if (json_object_is_type(list, json_type_array))
		return list;
	json_object_put(list);
	snprintf(error, size, "the interpreter does not list its packages");
	return NULL;
}

struct json_object *
listing_make(const struct config *config, const struct language_config *language, char *error, size_t size)
{
	char set[PATH_MAX - 32], script[SCRIPT_MAX], said[256], place[CELL_PLACE_SIZE];
	bool has_set = config_dependencies_find(language, set, sizeof set) == 0;
	struct cell cell = { .config = config, .language = language, .set = has_set ? set : NULL };
	struct words command = { .count = 0 };
	struct json_object *list = NULL;
	ssize_t n;

	if (read_script(config, scripts[language->packages], script, error, size) != 0)
		return NULL;
	if (language->packages == PACKAGES_PIP) {
		if (has_set)
			words_add(&command, "%s/bin/python3", cell_place(&cell, place));
		else
			words_add(&command, "%s", language->interpreter);
		words_add(&command, "-I");
		words_add(&command, "-c");
		words_add(&command, "%s", script);
	} else {
		words_add(&command, "%s", language->interpreter);
		words_add(&command, "-e");
		words_add(&command, "%s", script);
		words_add(&command, "--");
		if (has_set)
			words_add(&command, "%s/node_modules", cell_place(&cell, place));
		for (size_t i = 0; i < sizeof node_paths / sizeof node_paths[0]; i++)
			words_add(&command, "%s", node_paths[i]);
	}
	cell.out_fd = memfd_create("list", MFD_CLOEXEC);
	cell.error_fd = memfd_create("errors", MFD_CLOEXEC);
	if (cell.out_fd < 0 || cell.error_fd < 0) {
		snprintf(error, size, "memfd_create: %s", strerror(errno));
	} else if (cell_run(&cell, &command, error, size) == 0) {
		list = parse(cell.out_fd, error, size);
	} else if ((n = pread(cell.error_fd, said, sizeof said - 1, 0)) > 0) {
		size_t used = strlen(error);

		said[n] = '\0';
		said[strcspn(said, "\n")] = '\0';
		snprintf(error + used, size - used, ": %s", said);
	}
	if (cell.out_fd >= 0)
		close(cell.out_fd);
	if (cell.error_fd >= 0)
		close(cell.error_fd);
	words_free(&command);
	return list;
}
