/* check_config.c - see check_config.h. */
#define _GNU_SOURCE
#include "check/check_config.h"

#include <stdio.h>

#include "policy.h"
#include "start/memory_budget.h"

#define ERROR_SIZE 512

static int
check_policy(const struct config *config, const char *name)
{
	char error[ERROR_SIZE];
	struct policy *policy = policy_load(config->policy_dir, name, error, sizeof error);

	if (policy == NULL) {
		fprintf(stderr, "%s\n", error);
		return -1;
	}
	policy_free(policy);
	return 0;
}

int
check_config(const struct config *config)
{
	static const char *const own[] = { "worker", "relay" };
	char text[ERROR_SIZE * 2];
	uint64_t memory_bytes;

	for (size_t i = 0; i < config->language_count; i++) {
		if (check_policy(config, config->language[i]->policy) != 0)
			return 1;
	}
	for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
		if (check_policy(config, own[i]) != 0)
			return 1;
	}
	if (memory_budget_find(config, &memory_bytes, text, sizeof text) != 0) {
		fprintf(stderr, "%s\n", text);
		return 1;
	}
	printf("%s: good\n", config->path);
	return 0;
}
