/* level.c - see level.h. */
#define _GNU_SOURCE
#include "start/level.h"

#include "landlock.h"
#include "policy.h"

const struct start_level *
level_find(enum level level)
{
	static const struct start_level *const levels[] = {
		[LEVEL_NAMESPACES] = &level_ns,
		[LEVEL_CHROOT] = &level_chroot,
	};

	return levels[level];
}

struct language *
level_first_language(const struct broker *broker)
{
	for (size_t i = 0; i < broker->language_count; i++) {
		if (broker->language[i].state != LANGUAGE_MISSING)
			return &broker->language[i];
	}
	return NULL;
}

unsigned
level_unix_grants(const struct broker *broker)
{
	bool is_scoped = broker->landlock_abi >= LANDLOCK_SCOPE_ABI;
	unsigned grants = 0;

	for (unsigned grant = 0; grant < GRANT_COUNT && !broker->single_uid; grant++) {
		bool has_host = (grant & GRANT_NETWORK) != 0 && broker->config->network == NETWORK_HOST;

		if (is_scoped || (broker->config->level == LEVEL_NAMESPACES && !has_host))
			grants |= POLICY_UNIX(grant);
	}
	return grants;
}

struct zygote_setup
level_common_setup(const struct broker *broker)
{
	return (struct zygote_setup){ .level = broker->config->level,
		.single_uid = broker->single_uid,
		.landlock_abi = broker->landlock_abi,
		.zygote_landlock = broker->zygote_landlock };
}
