/*
 * request_config.h - a configuration with two languages, for the unit test and the fuzz target of
 * requests.
 */
#ifndef CELLBLOCK_REQUEST_CONFIG_H
#define CELLBLOCK_REQUEST_CONFIG_H

#include "config.h"

static char *python_aliases[] = { "python", "py" };
static char *jinja_hints[] = { "jinja2", "markupsafe" };
static char *numpy_hints[] = { "numpy" };

static struct language_config c = {
	.name = "c",
	.warm_count = 1,
	.limits = { { 1, 1, 1, 1, 1, 1, 1, 64, 16, 1 << 20 }, { 1, 1, 1, 1, 1, 1, 1, 64, 16, 1 << 20 } },
};

static struct language_config python = {
	.name = "python3",
	.aliases = { python_aliases, 2 },
	.packages = PACKAGES_PIP,
	.warm = { { .name = "base" }, { .name = "jinja2", .hints = { jinja_hints, 2 } },
	    { .name = "numpy", .hints = { numpy_hints, 1 } } },
	.warm_count = 3,
	.limits = { { 15000, 10000, 1 << 28, 1, 1000, 2000, 20, 256, 4096, 8 << 20 },
	    { 120000, 60000, 1 << 30, 8, 5000, UINT64_MAX, 100, 1024, 5000, 64 << 20 } },
};

static struct config config = { .language = { &c, &python }, .language_count = 2, .collect_bytes = 1 << 20, .tests_most = 50 };

#endif
