/* policy_cache.c - see policy_cache.h. */
#include "start/policy_cache.h"

#include <string.h>

struct policy *
policy_cache_get(struct policy_cache *cache, const char *name, char *error, size_t error_size)
{
	struct policy *policy;

	for (size_t i = 0; i < cache->count; i++) {
		if (strcmp(cache->policy[i]->name, name) == 0)
			return policy_hold(cache->policy[i]);
	}
	policy = policy_load(cache->dir, name, cache->place, error, error_size);
	if (policy != NULL)
		cache->policy[cache->count++] = policy_hold(policy);
	return policy;
}

void
policy_cache_free(struct policy_cache *cache)
{
	for (size_t i = 0; i < cache->count; i++) {
		policy_forget_filters(cache->policy[i]);
		policy_free(cache->policy[i]);
	}
	cache->count = 0;
}
