/* memory_budget.c - see memory_budget.h. Runs at the start, in the control group of the starter. */
#define _GNU_SOURCE
#include "start/memory_budget.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "start/cgroup_find.h"

#define PERCENT 80u
#define MIB(bytes) ((bytes) >> 20)

/* Bytes of memory that the machine has. */
static uint64_t
machine_bytes(void)
{
	long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);

	return pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : 0;
}

uint64_t
memory_budget_largest(const struct config *config)
{
	uint64_t most = 0;

	for (size_t l = 0; l < config->language_count; l++) {
		const struct language_config *language = config->language[l];

		if (language->limits.maximum.memory_bytes > most)
			most = language->limits.maximum.memory_bytes;
		if (config_is_compiled(language) && language->compile.limits.memory_bytes > most)
			most = language->compile.limits.memory_bytes;
	}
	return most;
}

/* The first language whose usual runs need more than `bytes`. */
static const struct language_config *
too_large(const struct config *config, uint64_t bytes)
{
	for (size_t l = 0; l < config->language_count; l++) {
		if (config->language[l]->limits.default_.memory_bytes > bytes)
			return config->language[l];
	}
	return NULL;
}

int
memory_budget_of(const struct config *config, uint64_t machine, uint64_t group, uint64_t *bytes, char *text, size_t size)
{
	uint64_t all = group < machine ? group : machine;
	const struct language_config *language;
	char found[160];

	if (config->memory_bytes != 0) {
		*bytes = config->memory_bytes;
		snprintf(found, sizeof found, "runner.memory_bytes, %" PRIu64 " MiB", MIB(*bytes));
	} else {
		*bytes = all / 100 * PERCENT;
		snprintf(found, sizeof found, "%u %% of the %" PRIu64 " MiB of %s = %" PRIu64 " MiB", PERCENT, MIB(all),
		    group < machine ? "the control group around the runner" : "this machine", MIB(*bytes));
	}
	language = too_large(config, *bytes);
	if (language == NULL) {
		snprintf(text, size, "%s", found);
		return 0;
	}
	snprintf(text, size,
	    "%s: limits.memory_bytes: the default of %" PRIu64 " (%" PRIu64 " MiB) is more than all runs may have together (%s); "
	    "allowed: less, or more by runner.memory_bytes in %s",
	    language->file, language->limits.default_.memory_bytes, MIB(language->limits.default_.memory_bytes), found,
	    config->path);
	return -1;
}

int
memory_budget_find(const struct config *config, uint64_t *bytes, char *text, size_t size)
{
	uint64_t machine = machine_bytes();

	return memory_budget_of(config, machine != 0 ? machine : UINT64_MAX, cgroup_find_memory_limit(config->cgroup_parent),
	    bytes, text, size);
}
