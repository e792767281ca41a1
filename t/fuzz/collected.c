/*
 * collected.c - the memory of a collector that was taken over, up to the reply to the client; and a
 * pattern and a path of strangers. An input is a pattern, a line break, a path, a line break, and
 * the collector's memory behind its magic number.
 */
#define _GNU_SOURCE
#include "collected.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "collection.h"
#include "fuzz.h"
#include "json_text.h"
#include "reply_files.h"
#include "sealed_memfd.h"
#include "warden/collect_pattern.h"

static char *sent;
static size_t sent_size, sent_room;

/* In place of reply.c's: keep what is sent. */
void
reply_put(struct reply *reply, const char *bytes, size_t size)
{
	(void)reply;
	if (sent_size + size > sent_room) {
		sent_room = 2 * (sent_size + size);
		must((sent = realloc(sent, sent_room)) != NULL);
	}
	memcpy(sent + sent_size, bytes, size);
	sent_size += size;
}

void
reply_put_escaped(struct reply *reply, const char *bytes, size_t size)
{
	char block[512];
	size_t used;

	for (size_t at = 0; at < size; at += used)
		reply_put(reply, block, json_text_escape(bytes + at, size - at, &used, block, sizeof block));
}

static void
check_file(struct json_object *object)
{
	static const char *const names[] = { "path", "size" };

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		must(json_object_object_get(object, names[i]) != NULL);
	/* Either its content is there, or the reason why not. */
	must((json_object_object_get(object, "content") != NULL) ==
	    (json_object_object_get(object, "reason") == NULL && json_object_object_get(object, "id") == NULL));
	must((json_object_object_get(object, "reason") == NULL) == (json_object_object_get(object, "sha256") != NULL));
}

static void
check_collected(const struct collected *collected)
{
	struct json_object *tree, *files;
	static struct reply plain; /* without events */
	size_t length = reply_files_length(collected);

	must(collected->was_asked && collected->count <= COLLECT_FILES_MOST);
	sent_size = 0;
	reply_files_put(&plain, collected);
	must(sent_size == length);
	must(fuzz_is_utf8(sent, sent_size));
	sent[0] = '{'; /* in place of the comma */
	reply_put(NULL, "}", 2);
	tree = json_tokener_parse(sent);
	must(tree != NULL);
	files = json_object_object_get(tree, "files");
	must(json_object_array_length(files) == collected->count);
	for (size_t i = 0; i < collected->count; i++)
		check_file(json_object_array_get_idx(files, i));
	json_object_put(tree);
}

static void
try_memory(const char *bytes, size_t size)
{
	uint32_t magic = COLLECT_MAGIC;
	struct iovec iov[] = { { &magic, sizeof magic }, { (void *)bytes, size } };
	/* Some entries go into the store, and some have more than fits. */
	const struct collect_form form = { .content_bytes = 64, .can_store = size % 2 == 0, .as_id = size % 4 == 0 };
	struct collected collected;

	collected_take(&collected, sealed_memfd_make("fuzz", SEALED_MEMFD_DATA, iov, 2), &form);
	check_collected(&collected);
	collected_release(&collected);
}

/* The same by trying everything, with a bound for those that take long. */
static int
matches_slowly(const char *pattern, const char *path, unsigned *steps)
{
	if (++*steps > 2000)
		return -1;
	if (strncmp(pattern, "**", 2) == 0 && (pattern[2] == '/' || pattern[2] == '\0') && *path != '\0') {
		const char *rest = pattern[2] == '/' ? pattern + 3 : "*", *slash;

		for (;;) {
			int result = matches_slowly(rest, path, steps);

			if (result != 0)
				return result;
			slash = strchr(path, '/');
			if (slash == NULL || *path == '.')
				return 0;
			path = slash + 1;
		}
	}
	if (*path == '\0' || *pattern == '\0')
		return *path == *pattern;
	{
		char component[2048], name[2048];
		size_t pattern_size = strcspn(pattern, "/"), path_size = strcspn(path, "/");

		memcpy(component, pattern, pattern_size);
		component[pattern_size] = '\0';
		memcpy(name, path, path_size);
		name[path_size] = '\0';
		/* A component alone is what the function under test has to get right by itself. */
		if (strcmp(component, "**") != 0 && !collect_pattern_matches(component, name))
			return 0;
		if (strcmp(component, "**") == 0)
			return 0;
		if ((pattern[pattern_size] == '\0') != (path[path_size] == '\0'))
			return 0;
		if (pattern[pattern_size] == '\0')
			return 1;
		return matches_slowly(pattern + pattern_size + 1, path + path_size + 1, steps);
	}
}

/* A path as the collector has it: no empty component, no NUL. */
static int
is_path(const char *text)
{
	return *text != '\0' && *text != '/' && strstr(text, "//") == NULL && text[strlen(text) - 1] != '/';
}

static void
try_pattern(const char *pattern, const char *path)
{
	unsigned steps = 0;
	int slowly;

	if (!is_path(pattern) || !is_path(path))
		return;
	slowly = matches_slowly(pattern, path, &steps);
	must(slowly < 0 || slowly == collect_pattern_matches(pattern, path));
	/* Each directory on the way to a file that matches is looked into. */
	if (collect_pattern_matches(pattern, path)) {
		char above[2048];

		strcpy(above, path);
		for (char *slash; (slash = strrchr(above, '/')) != NULL;) {
			*slash = '\0';
			must(collect_pattern_leads_below(pattern, above));
		}
	}
	if (collect_pattern_names(pattern, path))
		must(collect_pattern_leads_below(pattern, path));
}

/* The line at *at, without NULs, in `line`. */
static void
take_line(const char **at, const char *end, char line[1025])
{
	size_t size = 0;

	for (; *at < end && **at != '\n'; ++*at) {
		if (**at != '\0' && size < 1024)
			line[size++] = **at;
	}
	line[size] = '\0';
	*at += *at < end;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	do {
		const char *at = (const char *)data, *end = at + size;
		char pattern[1025], path[1025];

		fuzz_begin();
		take_line(&at, end, pattern);
		take_line(&at, end, path);
		try_pattern(pattern, path);
		try_memory(at, (size_t)(end - at));
		free(sent);
		sent = NULL;
		sent_room = 0;
	} while (!fuzz_end());
	return 0;
}
