/* language.c - see language.h. Runs in the broker. */
#define _GNU_SOURCE
#include "broker/language.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "broker/broker.h"
#include "broker/isolation.h"
#include "broker/run_queue.h"
#include "clock.h"
#include "log.h"

/* ---- the state -------------------------------------------------------------------------------------------------- */

#define NONE LANGUAGE_STATES /* no transition */

/* clang-format off */
static const enum language_state transitions[LANGUAGE_STATES][LANGUAGE_EVENTS] = {
	/*
	 *                      WAKES              REPORTED           SERVES            LOST               FAILED            SLEEPS           APPEARS
	 */
	[LANGUAGE_MISSING]  = { NONE,              NONE,              NONE,             NONE,              NONE,             NONE,            LANGUAGE_ASLEEP },
	[LANGUAGE_ASLEEP]   = { LANGUAGE_STARTING, NONE,              NONE,             NONE,              NONE,             NONE,            NONE },
	[LANGUAGE_STARTING] = { NONE,              NONE,              LANGUAGE_SERVING, NONE,              LANGUAGE_FAILING, LANGUAGE_ASLEEP, NONE },
	[LANGUAGE_SERVING]  = { NONE,              NONE,              NONE,             LANGUAGE_STARTING, NONE,             LANGUAGE_ASLEEP, NONE },
	[LANGUAGE_FAILING]  = { NONE,              LANGUAGE_STARTING, LANGUAGE_SERVING, NONE,              LANGUAGE_FAILING, LANGUAGE_ASLEEP, NONE },
};
/* clang-format on */

void
language_event(struct broker *broker, struct language *language, enum language_event event, const char *reason)
{
	enum language_state next = transitions[language->state][event];

	if (next == NONE)
		return;
	language->state = next;
	language->state_us = clock_us();
	snprintf(language->reason, sizeof language->reason, "%s", next == LANGUAGE_FAILING ? reason : "");
	if (next == LANGUAGE_FAILING)
		run_queue_refuse(broker, language, NULL, REFUSED_UNAVAILABLE, language->reason, 0);
	loop_dispatch(&broker->loop);
}

static void
set_lock(const struct language *language, enum set_lock lock, short type)
{
	struct flock range = { .l_type = type, .l_start = lock, .l_len = 1 };

	if (language->packages_fd >= 0 && fcntl(language->packages_fd, F_OFD_SETLK, &range) != 0)
		log_warn("%s: lock its set of packages: %s", language->config->name, strerror(errno));
}

void
language_lock_packages(const struct language *language, enum set_lock lock)
{
	set_lock(language, lock, F_RDLCK);
}

void
language_unlock_packages(const struct language *language, enum set_lock lock)
{
	set_lock(language, lock, F_UNLCK);
}

bool
language_is_awake(const struct language *language)
{
	return language->state >= LANGUAGE_STARTING;
}

void
language_place_zygote(struct language *language, uint32_t number, uint32_t pairs, uint32_t pool)
{
	for (uint32_t i = 0; i < 2; i++) {
		uint32_t place = number + i * pairs;

		language->zygote[place] = (struct zygote){ .language = language,
			.other = &language->zygote[number + (1 - i) * pairs],
			.number = place,
			.pool = pool,
			.report = { .fd = -1 } };
	}
}

bool
language_serves(const struct language *language)
{
	for (size_t z = 0; z < language->zygote_count; z++) {
		if (language->zygote[z].pid != 0 && language->zygote[z].is_verified)
			return true;
	}
	return false;
}

/* ---- appearance ------------------------------------------------------------------------------------------------- */

/* Whether a program can be executed in a root. Its links are followed there. */
static bool
is_installed(int root_fd, const char *path)
{
	struct open_how how = { .flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT };
	int fd = (int)syscall(SYS_openat2, root_fd, path, &how, sizeof how);
	struct stat st;
	bool is_good = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & S_IXOTH) != 0;

	if (fd >= 0)
		close(fd);
	return is_good;
}

void
language_look(struct broker *broker, struct language *language)
{
	const struct language_config *from = language->config;
	const char *programs[] = { from->interpreter, from->run.count > 0 ? from->run.item[0] : NULL,
		config_is_compiled(from) ? from->compile.command.item[0] : NULL,
		from->version.count > 0 ? from->version.item[0] : NULL };

	if (language->state != LANGUAGE_MISSING || language->root_fd < 0)
		return;
	for (size_t i = 0; i < sizeof programs / sizeof programs[0]; i++) {
		if (programs[i] != NULL && !is_installed(language->root_fd, programs[i]))
			return;
	}
	log_info("%s has been installed", from->name);
	language_event(broker, language, LANGUAGE_APPEARS, NULL);
}

/* ---- pools ------------------------------------------------------------------------------------------------------ */

unsigned
language_usual_grant(const struct language *language)
{
	return language->config->limits.default_.processes > 1 ? GRANT_PROCESSES : 0;
}

void
language_want_armed(struct language *language)
{
	for (uint32_t pool = 0; pool < LANGUAGE_POOLS; pool++)
		language->pool[pool].is_wanted = language_armed(language, pool) > 0;
}

uint32_t
language_armed(const struct language *language, uint32_t pool)
{
	uint32_t kind = pool / GRANT_COUNT;
	unsigned grant = pool % GRANT_COUNT;
	const struct warm_set *set = &language->config->warm[kind];

	if (kind >= language->config->warm_count || (grant & ~(unsigned)GRANT_NETWORK) != language_usual_grant(language))
		return 0;
	return (grant & GRANT_NETWORK) != 0 ? config_network_armed(language->all, set) : set->armed;
}

/*
 * Whether the interpreter takes arguments and environment only at its start, and is started ahead
 * of its run.
 */
static bool
starts_ahead(const struct language *language)
{
	return language->start == START_SPARE || (language->start == START_ZYGOTE && language->config->driver == NULL);
}

uint32_t
language_pool(const struct language *language, uint32_t warm, uint32_t flags, unsigned grant)
{
	/* The last kind starts an interpreter for the run, if there is a command for that. */
	bool has_cold = language->kinds > language->config->warm_count;
	bool is_cold = ((flags & RUN_ARGUED) != 0 && starts_ahead(language)) || ((flags & RUN_COLD) != 0 && has_cold);
	uint32_t kind = is_cold ? language->kinds - 1 : warm;

	return kind * GRANT_COUNT + grant;
}

static bool
has_zygote(const struct language *language, uint32_t pool)
{
	for (size_t z = 0; z < language->zygote_count; z++) {
		if (language->zygote[z].pool == pool && language->zygote[z].pid != 0 && language->zygote[z].is_verified)
			return true;
	}
	return false;
}

uint32_t
language_pool_for_now(const struct language *language, uint32_t pool)
{
	uint32_t first = pool % GRANT_COUNT;

	if (language->config->driver == NULL || language->start != START_ZYGOTE || has_zygote(language, pool) ||
	    pool / GRANT_COUNT >= language->config->warm_count || !has_zygote(language, first))
		return pool;
	return first;
}

/* ---- awake and asleep ------------------------------------------------------------------------------------------- */

void
language_touch(struct broker *broker, struct language *language)
{
	language->used_us = clock_us();
	if (language->state != LANGUAGE_ASLEEP)
		return;
	/* A zygote that could not be had the last time may be had now. */
	language->start = language->config->start;
	language->shortfall[0] = '\0';
	broker->isolation->waken(broker, language);
	language_event(broker, language, LANGUAGE_WAKES, NULL);
	loop_wake_at(&broker->loop, 0);
}

void
language_wake(struct broker *broker, struct language *language, uint32_t pool)
{
	language_touch(broker, language);
	if (language->pool[pool].is_wanted)
		return;
	language->pool[pool].is_wanted = true;
	loop_wake_at(&broker->loop, 0);
}

void
language_sleep(struct broker *broker, struct language *language)
{
	language_event(broker, language, LANGUAGE_SLEEPS, NULL);
	language_want_armed(language);
	for (size_t w = 0; w < LANGUAGE_POOLS; w++) {
		pool_recovered(&language->pool[w]);
		language->pool[w].made_us = 0;
	}
	/*
	 * The warden ends when its socket closes, its zygotes when theirs do, and nobody waits for
	 * them by pid.
	 */
	for (size_t z = 0; z < language->zygote_count; z++) {
		struct zygote *zygote = &language->zygote[z];

		zygote->pid = 0;
		zygote->is_verified = false;
		zygote->failures = 0;
		zygote->retry_us = 0;
	}
	language->warden.pid = 0;
	language->warden.failures = 0;
	language->warden.retry_us = 0;
	if (language->warden.sock >= 0)
		close(language->warden.sock);
	language->warden.sock = -1;
}
