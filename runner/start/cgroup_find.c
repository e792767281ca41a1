/* cgroup_find.c - see cgroup_find.h. Reads /proc/self and the files of control groups. */
#define _GNU_SOURCE
#include "start/cgroup_find.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

bool
cgroup_find_word(const char *list, const char *word, char separator)
{
	size_t n = strlen(word);

	for (const char *at = list; (at = strstr(at, word)) != NULL; at++) {
		bool starts = at == list || at[-1] == separator;
		bool ends = at[n] == '\0' || at[n] == separator || at[n] == '\n';

		if (starts && ends)
			return true;
	}
	return false;
}

void
cgroup_find_mount(const char *controller, char *path, size_t size)
{
	FILE *mounts = fopen("/proc/self/mounts", "re");
	char line[PATH_MAX + 512], where[PATH_MAX], type[64], options[512];

	path[0] = '\0';
	if (mounts == NULL)
		return;
	while (path[0] == '\0' && fgets(line, sizeof line, mounts) != NULL) {
		if (sscanf(line, "%*s %4095s %63s %511s", where, type, options) != 3)
			continue;
		if (controller == NULL ? strcmp(type, "cgroup2") == 0 :
		                         strcmp(type, "cgroup") == 0 && cgroup_find_word(options, controller, ','))
			snprintf(path, size, "%s", where);
	}
	fclose(mounts);
}

void
cgroup_find_own(const char *controller, char *path, size_t size)
{
	FILE *groups = fopen("/proc/self/cgroup", "re");
	char line[PATH_MAX + 128];

	snprintf(path, size, "/");
	while (groups != NULL && fgets(line, sizeof line, groups) != NULL) {
		char *names = strchr(line, ':');
		char *where = names == NULL ? NULL : strchr(names + 1, ':');

		if (where == NULL)
			continue;
		*names++ = '\0';
		*where++ = '\0';
		where[strcspn(where, "\n")] = '\0';
		if (controller == NULL ? strcmp(line, "0") == 0 : cgroup_find_word(names, controller, ','))
			snprintf(path, size, "%s", where);
	}
	if (groups != NULL)
		fclose(groups);
}

bool
cgroup_find_is_version_2(const char *mount)
{
	char path[PATH_MAX + 32], list[512] = "";
	FILE *file;

	snprintf(path, sizeof path, "%s/cgroup.controllers", mount);
	file = mount[0] == '\0' ? NULL : fopen(path, "re");
	if (file != NULL) {
		if (fgets(list, sizeof list, file) == NULL)
			list[0] = '\0';
		fclose(file);
	}
	return cgroup_find_word(list, "memory", ' ') && cgroup_find_word(list, "pids", ' ') && cgroup_find_word(list, "cpu", ' ');
}

/* The limit in a file `name` of the group `path`; UINT64_MAX: there is none. */
static uint64_t
limit_of(const char *path, const char *name)
{
	char file_path[PATH_MAX * 2 + 64];
	uint64_t limit = UINT64_MAX;
	FILE *file;

	snprintf(file_path, sizeof file_path, "%s/%s", path, name);
	file = fopen(file_path, "re");
	/* "max" is no number. */
	if (file != NULL && fscanf(file, "%" SCNu64, &limit) != 1)
		limit = UINT64_MAX;
	if (file != NULL)
		fclose(file);
	return limit;
}

/* The least limit of the group `path` and those above it, up to `mount`. Changes `path`. */
static uint64_t
least_limit(const char *mount, char *path, const char *name)
{
	uint64_t least = UINT64_MAX, limit;
	char *slash;

	for (;;) {
		limit = limit_of(path, name);
		least = limit < least ? limit : least;
		slash = strrchr(path, '/');
		if (slash == NULL || strlen(path) <= strlen(mount))
			return least;
		*slash = '\0';
	}
}

uint64_t
cgroup_find_memory_limit(const char *parent)
{
	const char *controller = "memory", *name = "memory.limit_in_bytes";
	char mount[PATH_MAX], own[PATH_MAX], path[PATH_MAX * 2];

	cgroup_find_mount(controller, mount, sizeof mount);
	if (mount[0] == '\0') {
		controller = NULL;
		name = "memory.max";
		cgroup_find_mount(controller, mount, sizeof mount);
	}
	if (mount[0] == '\0')
		return UINT64_MAX;
	cgroup_find_own(controller, own, sizeof own);
	if (controller == NULL && parent != NULL)
		snprintf(path, sizeof path, "%s", parent);
	else
		snprintf(path, sizeof path, "%s%s", mount, strcmp(own, "/") == 0 ? "" : own);
	return least_limit(mount, path, name);
}
