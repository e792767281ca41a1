/* level.c - see level.h. */
#define _GNU_SOURCE
#include "start/level.h"

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

struct zygote_setup
level_common_setup(const struct broker *broker)
{
	return (struct zygote_setup){ .level = broker->config->level,
		.single_uid = broker->single_uid,
		.landlock_abi = broker->landlock_abi,
		.zygote_landlock = broker->zygote_landlock };
}
