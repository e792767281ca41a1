/* build.c - see build.h. */
#define _GNU_SOURCE
#include "build.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <limits.h>
#include <sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cell.h"
#include "config_dependencies.h"
#include "log.h"

#define REQUIREMENTS_MAX (1 << 20) /* bytes of a file that names packages; of a lock file, sixteen times that */
#define LINES 12                   /* of what the installer printed last, in a reason */
#define LOOK_MS 100

/* ---- the requirements ------------------------------------------------------------------------------------------- */

/* The files that name the packages of an installer; the second may be missing. */
static const char *const requirement_files[][2] = {
	[PACKAGES_PIP] = { "requirements.txt", "constraints.txt" },
	[PACKAGES_NPM] = { "package.json", "package-lock.json" },
};

struct requirements {
	char directory[PATH_MAX];
	bool is_empty;   /* no package is named */
	bool has_second; /* the second file is there */
	char digest[SET_DIGEST_SIZE];
};

/* Read a whole file. Returns it, for free(), "" if it is not there; or NULL with errno. */
static char *
read_text(const char *path, size_t most, bool *is_there)
{
	FILE *file = fopen(path, "re");
	char *text = calloc(1, most + 1);
	size_t n = 0;

	*is_there = file != NULL;
	if (text == NULL || (file == NULL && errno != ENOENT)) {
		free(text);
		text = NULL;
	} else if (file != NULL) {
		n = fread(text, 1, most + 1, file);
		if (n > most || ferror(file)) {
			errno = n > most ? EFBIG : EIO;
			free(text);
			text = NULL;
		} else {
			text[n] = '\0';
		}
	}
	if (file != NULL)
		fclose(file);
	return text;
}

/* Whether a requirements.txt has nothing but comments. */
static bool
is_blank(const char *text)
{
	while (*text != '\0') {
		text += strspn(text, " \t\r\n\f");
		if (*text != '#')
			return *text == '\0';
		text += strcspn(text, "\n");
	}
	return true;
}

/* Whether a package.json names no package. *is_json: whether it is JSON at all. */
static bool
names_no_package(const char *text, bool *is_json)
{
	static const char *const fields[] = { "dependencies", "optionalDependencies" };
	struct json_object *root = json_tokener_parse(text), *packages;
	bool is_empty = true;

	*is_json = json_object_is_type(root, json_type_object);
	for (size_t i = 0; *is_json && i < sizeof fields / sizeof fields[0]; i++) {
		if (json_object_object_get_ex(root, fields[i], &packages) && json_object_is_type(packages, json_type_object) &&
		    json_object_object_length(packages) > 0)
			is_empty = false;
	}
	json_object_put(root);
	return is_empty;
}

/* Read the requirements of a language. Returns 0, or -1 with one line in `error`. */
static int
read_requirements(const struct config *config, const struct language_config *language, struct requirements *requirements,
    char *error, size_t size)
{
	const char *const *files = requirement_files[language->packages];
	bool is_there[2], is_json = true;
	char path[2][PATH_MAX], *text[2] = { NULL, NULL };
	SHA2_CTX context;
	int result = 0;

	snprintf(requirements->directory, sizeof requirements->directory, "%s/%s", config->dependencies.requirements,
	    language->name);
	SHA256Init(&context);
	/* Another interpreter needs another set. */
	SHA256Update(&context, (const uint8_t *)language->interpreter, strlen(language->interpreter) + 1);
	for (int i = 0; i < 2 && result == 0; i++) {
		if (snprintf(path[i], sizeof path[i], "%s/%s", requirements->directory, files[i]) >= (int)sizeof path[i])
			errno = ENAMETOOLONG;
		else
			text[i] = read_text(path[i], REQUIREMENTS_MAX << (i * 4), &is_there[i]);
		if (text[i] == NULL) {
			snprintf(error, size, "%.3900s: %s", path[i], strerror(errno));
			result = -1;
		} else {
			SHA256Update(&context, (const uint8_t *)text[i], strlen(text[i]) + 1);
		}
	}
	SHA256End(&context, requirements->digest);
	if (result == 0) {
		requirements->has_second = is_there[1];
		requirements->is_empty = !is_there[0] ||
		    (language->packages == PACKAGES_PIP ? is_blank(text[0]) : names_no_package(text[0], &is_json));
		if (!is_json) {
			snprintf(error, size, "%.1000s: is not a JSON object", path[0]);
			result = -1;
		}
	}
	free(text[0]);
	free(text[1]);
	return result;
}

/* ---- installers ------------------------------------------------------------------------------------------------- */

/*
 * Copy a file into the set, which the installer may change. Returns 0, or -1 with one line in
 * `error`.
 */
static int
copy_file(const char *from, const char *directory, const char *name, char *error, size_t size)
{
	char path[PATH_MAX];
	bool is_there;
	char *text = read_text(from, REQUIREMENTS_MAX << 4, &is_there);
	FILE *file = NULL;
	int result = -1;

	snprintf(path, sizeof path, "%s/%s", directory, name);
	if (text != NULL && is_there && (file = fopen(path, "we")) != NULL)
		result = fputs(text, file) < 0 ? -1 : 0;
	if (file != NULL && fclose(file) != 0)
		result = -1;
	if (result != 0)
		snprintf(error, size, "copy %.3900s: %s", from, strerror(errno));
	free(text);
	return result;
}

/*
 * pip installs into a virtual environment, which sees the host's packages too. It is the host's
 * pip, so it need not be installed into each set.
 */
static int
install_by_pip(const struct cell *cell, const struct requirements *requirements, char *error, size_t size)
{
	const struct dependencies_config *from = &cell->config->dependencies;
	char place[CELL_PLACE_SIZE];
	struct words command = { .count = 0 };
	int result;

	cell_place(cell, place);
	words_add(&command, "%s", cell->language->interpreter);
	words_add(&command, "-m");
	words_add(&command, "venv");
	words_add(&command, "--system-site-packages");
	words_add(&command, "--without-pip");
	words_add(&command, "%s", place);
	result = cell_run(cell, &command, error, size);
	words_free(&command);
	if (result != 0)
		return -1;
	words_add(&command, "%s/bin/python3", place);
	words_add(&command, "-m");
	words_add(&command, "pip");
	words_add(&command, "--isolated");
	words_add(&command, "--no-input");
	words_add(&command, "--disable-pip-version-check");
	words_add(&command, "--no-cache-dir");
	words_add(&command, "--cert=%s", from->certificates);
	words_add(&command, "install");
	words_add(&command, "--progress-bar=off");
	words_add(&command, "--no-warn-script-location");
	if (from->proxy != NULL)
		words_add(&command, "--proxy=%s", from->proxy);
	if (from->index_url != NULL)
		words_add(&command, "--index-url=%s", from->index_url);
	else if (from->network == BUILD_NETWORK_NONE)
		words_add(&command, "--no-index");
	for (size_t i = 0; i < from->trusted_hosts.count; i++)
		words_add(&command, "--trusted-host=%s", from->trusted_hosts.item[i]);
	if (from->archives != NULL)
		words_add(&command, "--find-links=%s", from->archives);
	if (requirements->has_second)
		words_add(&command, "--constraint=%s/%s", requirements->directory, requirement_files[PACKAGES_PIP][1]);
	words_add(&command, "--requirement=%s/%s", requirements->directory, requirement_files[PACKAGES_PIP][0]);
	result = cell_run(cell, &command, error, size);
	words_free(&command);
	return result;
}

/* npm's program runs in the language's own Node, whose version the addons are for. */
static int
install_by_npm(const struct cell *cell, const struct requirements *requirements, char *error, size_t size)
{
	const struct dependencies_config *from = &cell->config->dependencies;
	char path[2][PATH_MAX], npm[PATH_MAX], place[CELL_PLACE_SIZE];
	struct words command = { .count = 0 };
	int result;

	for (int i = 0; i < 1 + requirements->has_second; i++) {
		const char *name = requirement_files[PACKAGES_NPM][i];

		if (snprintf(path[i], sizeof path[i], "%s/%s", requirements->directory, name) >= (int)sizeof path[i] ||
		    copy_file(path[i], cell->set, name, error, size) != 0)
			return -1;
	}
	if (realpath(from->npm, npm) == NULL) {
		snprintf(error, size, "dependencies.npm: %s: %s", from->npm, strerror(errno));
		return -1;
	}
	words_add(&command, "%s", cell->language->interpreter);
	words_add(&command, "%s", npm);
	words_add(&command, "--prefix=%s", cell_place(cell, place));
	words_add(&command, requirements->has_second ? "ci" : "install");
	words_add(&command, "--omit=dev");
	words_add(&command, "--no-audit");
	words_add(&command, "--no-fund");
	words_add(&command, "--no-progress");
	words_add(&command, "--no-update-notifier");
	words_add(&command, "--cache=/tmp/npm");
	if (from->registry != NULL)
		words_add(&command, "--registry=%s", from->registry);
	if (from->network == BUILD_NETWORK_NONE)
		words_add(&command, "--offline");
	result = cell_run(cell, &command, error, size);
	words_free(&command);
	/* Runs have a link to it. */
	snprintf(path[0], sizeof path[0], "%.*s/node_modules", PATH_MAX - 32, cell->set);
	if (result == 0 && mkdir(path[0], 0755) != 0 && errno != EEXIST) {
		snprintf(error, size, "make node_modules: %s", strerror(errno));
		return -1;
	}
	return result;
}

/* ---- a build ---------------------------------------------------------------------------------------------------- */

static uint64_t
wall_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* By these words an installer, a compiler or an interpreter says that memory is short. */
static const char *const memory_words[] = { "MemoryError", "bad_alloc", "annot allocate memory", "ut of memory",
	"virtual memory exhausted" };

/* Say which key of the configuration helps, if the installer has asked for memory in vain. */
static void
append_hint(const char *said, const struct dependencies_config *from, char reason[SET_REASON_SIZE])
{
	size_t used = strlen(reason);

	for (size_t i = 0; i < sizeof memory_words / sizeof memory_words[0]; i++) {
		if (strstr(said, memory_words[i]) == NULL)
			continue;
		snprintf(reason + used, SET_REASON_SIZE - used,
		    "; it got no more memory than dependencies.memory_bytes, %" PRIu64, from->memory_bytes);
		return;
	}
}

/* Append the last lines that the installer printed to a reason. */
static void
append_last_lines(int log_fd, const struct dependencies_config *from, char reason[SET_REASON_SIZE])
{
	char text[3000];
	off_t end = lseek(log_fd, 0, SEEK_END);
	off_t begin = end > (off_t)sizeof text - 1 ? end - ((off_t)sizeof text - 1) : 0;
	ssize_t n = pread(log_fd, text, sizeof text - 1, begin);
	char *line;
	size_t used;

	if (n <= 0)
		return;
	while (n > 0 && isspace((unsigned char)text[n - 1]))
		n--;
	text[n] = '\0';
	append_hint(text, from, reason);
	used = strlen(reason);
	line = text + n;
	for (int lines = 0; line > text; line--) {
		if (line[-1] == '\n' && ++lines == LINES)
			break;
	}
	snprintf(reason + used, SET_REASON_SIZE - used, "\n%s", line);
}

/*
 * Make a set. Returns 0, with its path and record; or -1 with a reason, and nothing of it is left.
 */
static int
make_set(const struct config *config, const struct language_config *language, const struct requirements *requirements,
    struct set_place *place, char path[PATH_MAX], struct set_record *record, char reason[SET_REASON_SIZE])
{
	char log[PATH_MAX];
	struct cell cell = { .config = config, .language = language, .set = path, .is_building = true, .error_fd = -1 };
	int result;

	if (set_begin(place, path, PATH_MAX, reason, SET_REASON_SIZE) != 0)
		return -1;
	snprintf(log, sizeof log, "%s/log", place->path);
	cell.out_fd = open(log, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
	if (cell.out_fd < 0) {
		snprintf(reason, SET_REASON_SIZE, "open %.1000s: %s", log, strerror(errno));
		set_remove(path);
		return -1;
	}
	result = language->packages == PACKAGES_PIP ? install_by_pip(&cell, requirements, reason, SET_REASON_SIZE) :
	                                              install_by_npm(&cell, requirements, reason, SET_REASON_SIZE);
	if (result != 0)
		append_last_lines(cell.out_fd, &config->dependencies, reason);
	close(cell.out_fd);
	if (result == 0 && set_bytes(path) > config->dependencies.bytes) {
		snprintf(reason, SET_REASON_SIZE, "the set is larger than dependencies.bytes, %" PRIu64,
		    config->dependencies.bytes);
		result = -1;
	}
	if (result == 0)
		result = set_seal(path, record->contents, reason, SET_REASON_SIZE);
	if (result != 0)
		set_remove(path);
	return result;
}

/* With the place locked. */
static enum build_end
build_locked(const struct config *config, const struct language_config *language, enum build_mode mode, uint64_t asked_us,
    struct set_place *place, char reason[SET_REASON_SIZE])
{
	struct set_record record = { .contents = "" }, old;
	struct requirements requirements;
	char path[PATH_MAX];
	bool has_old = set_read_record(place, &old);

	if (read_requirements(config, language, &requirements, reason, SET_REASON_SIZE) != 0)
		return BUILD_FAILED;
	memcpy(record.requirements, requirements.digest, SET_DIGEST_SIZE);
	if (has_old && strcmp(old.requirements, record.requirements) == 0) {
		if (old.ended_us > asked_us)
			return BUILD_JOINED;
		if (mode == BUILD_IF_CHANGED)
			return BUILD_NOTHING;
	}
	if (!has_old && requirements.is_empty)
		return BUILD_NOTHING;
	if (set_read_failure(place, &old, reason) && old.ended_us > asked_us &&
	    strcmp(old.requirements, record.requirements) == 0)
		return BUILD_FAILED;
	reason[0] = '\0';
	if (!requirements.is_empty && make_set(config, language, &requirements, place, path, &record, reason) != 0) {
		record.ended_us = wall_us();
		set_write_failure(place, &record, reason);
		return BUILD_FAILED;
	}
	record.ended_us = wall_us();
	if (set_switch(place, requirements.is_empty ? NULL : path, &record, reason, SET_REASON_SIZE) != 0) {
		if (!requirements.is_empty)
			set_remove(path);
		return BUILD_FAILED;
	}
	return BUILD_SWITCHED;
}

enum build_end
build(const struct config *config, const struct language_config *language, enum build_mode mode, char reason[SET_REASON_SIZE])
{
	uint64_t asked_us = wall_us();
	struct set_place place;
	enum build_end end;

	if (set_open(&place, config->dependencies.sets, language->name, reason, SET_REASON_SIZE) != 0)
		return BUILD_FAILED;
	end = build_locked(config, language, mode, asked_us, &place, reason);
	set_close(&place);
	return end;
}

bool
build_is_current(const struct config *config, const struct language_config *language, char reason[SET_REASON_SIZE])
{
	struct requirements requirements;
	struct set_record record;
	struct set_place place = { .lock_fd = -1 };
	bool has_set;

	snprintf(place.path, sizeof place.path, "%s/%s", config->dependencies.sets, language->name);
	if (read_requirements(config, language, &requirements, reason, SET_REASON_SIZE) != 0)
		return false;
	has_set = set_read_record(&place, &record);
	if (has_set && strcmp(record.requirements, requirements.digest) == 0)
		return true;
	if (!has_set && requirements.is_empty)
		return true;
	if (set_read_failure(&place, &record, reason) && strcmp(record.requirements, requirements.digest) == 0)
		return false;
	snprintf(reason, SET_REASON_SIZE, "%s",
	    has_set ? "the requirements have changed since the set in use was made" : "there is no set yet");
	return false;
}

/* Whether all new runs have the set in use, or none where there is none. */
static bool
is_in_use(const struct config *config, const struct language_config *language)
{
	char path[PATH_MAX];

	if (config_dependencies_find(language, path, sizeof path) == 0)
		return set_is_locked(path, SET_LOCK_ALL_RUNS);
	snprintf(path, sizeof path, "%s/%s", config->dependencies.sets, language->name);
	return !set_is_any_locked(path, SET_LOCK_ALL_RUNS);
}

bool
build_wait_for_use(const struct config *config, const struct language_config *language, unsigned ms)
{
	for (unsigned waited = 0; waited < ms; waited += LOOK_MS) {
		if (is_in_use(config, language))
			return true;
		nanosleep(&(struct timespec){ .tv_nsec = LOOK_MS * 1000000L }, NULL);
	}
	return is_in_use(config, language);
}
