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

		/* There connect(2) is not made: see the rows of "handed". */
		if ((grant & GRANT_NETWORK) != 0 && broker->config->level == LEVEL_CHROOT)
			continue;
		if (is_scoped || (broker->config->level == LEVEL_NAMESPACES && !has_host))
			grants |= POLICY_UNIX(grant);
	}
	return grants;
}

unsigned
level_place(const struct broker *broker)
{
	unsigned place = level_unix_grants(broker);

	if (broker->config->network == NETWORK_PROXY)
		place |= POLICY_ASKED | (broker->config->level == LEVEL_CHROOT ? POLICY_HANDED : 0u);
	return place;
}

struct zygote_setup
level_common_setup(const struct broker *broker)
{
	return (struct zygote_setup){ .level = broker->config->level,
		.single_uid = broker->single_uid,
		.landlock_abi = broker->landlock_abi,
		.zygote_landlock = broker->zygote_landlock };
}
