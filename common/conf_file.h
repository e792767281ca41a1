/* conf_file.h - a parsed libconfig file, and error messages that name the place in it. */
#ifndef CELLBLOCK_CONF_FILE_H
#define CELLBLOCK_CONF_FILE_H

#include <libconfig.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONF_DIGEST_START UINT64_C(0xcbf29ce484222325)

struct conf_file {
	const char *path; /* the caller's, not copied */
	char *directory;  /* of the file, absolute */
	config_t parsed;
	char *error;
	size_t error_size;
};

/*
 * Open and parse `path`, and add its length and contents to *digest (64-bit FNV-1a) unless that is
 * NULL. Returns 0, and `file` is then for conf_file_close; or -1 with one line in `error`. Later
 * errors in this file go to `error`, too.
 */
int conf_file_open(struct conf_file *file, const char *path, uint64_t *digest, char *error, size_t error_size);
void conf_file_close(struct conf_file *file);

/*
 * Set the file's error to "FILE:LINE: text", with the line of `at`. Returns -1, for the caller to
 * return.
 */
int conf_file_fail(const struct conf_file *file, const config_setting_t *at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Write a setting's path within its file ("runner.cells", "warm[1].armed"). Returns `text`. */
const char *conf_file_where(const config_setting_t *setting, char *text, size_t size);

/* The number of elements of the list `name` in `group`, 0 without the list; and one element. */
unsigned conf_list_count(const config_setting_t *group, const char *name);
const config_setting_t *conf_list_element(const config_setting_t *group, const char *name, unsigned index);

/* strdup(3) that dies if there is no memory. */
char *conf_strdup(const char *text);

#endif
