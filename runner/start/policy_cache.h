/*
 * policy_cache.h - the compiled policies of all languages. Most languages have the same one, and to
 * compile it takes 55 ms.
 */
#ifndef CELLBLOCK_POLICY_CACHE_H
#define CELLBLOCK_POLICY_CACHE_H

#include <stddef.h>

#include "config.h"
#include "policy.h"

struct policy_cache {
	const char *dir;
	unsigned place;                              /* of the guests of all of them; see policy_load */
	struct policy *policy[CONFIG_MAX_LANGUAGES]; /* held */
	size_t count;
};

/*
 * As policy_load, for a holder of its own. The cache needs no set-up but `dir` and `place`. No more
 * than CONFIG_MAX_LANGUAGES different names may be asked for.
 */
struct policy *policy_cache_get(struct policy_cache *cache, const char *name, char *error, size_t error_size);

/* Give up the policies. Those that others hold stay. */
void policy_cache_free(struct policy_cache *cache);

#endif
