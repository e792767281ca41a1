/* generations_watch.c - see generations_watch.h. Runs in a parent. */
#define _GNU_SOURCE
#include "generations_watch.h"

#include <sys/stat.h>

#include "log.h"

#define WATCH_US 2000000u        /* between two looks at the watched files */
#define WATCH_PAUSE_US 10000000u /* between two generations that a watched file asks for */

static uint64_t
mix(uint64_t hash, uint64_t value)
{
	for (int i = 0; i < 8; i++, value >>= 8)
		hash = (hash ^ (value & 0xff)) * 1099511628211u;
	return hash;
}

/*
 * A number that changes when one of the watched files appears, vanishes, is replaced or is written.
 */
static uint64_t
look_at_files(const struct generations *what)
{
	uint64_t hash = 14695981039346656037u;
	struct stat st;

	for (size_t i = 0; i < what->watched_count; i++) {
		bool is_there = stat(what->watched[i], &st) == 0;

		hash = mix(hash, is_there);
		if (is_there)
			hash = mix(mix(mix(mix(hash, st.st_dev), st.st_ino), (uint64_t)st.st_mtim.tv_sec),
			    (uint64_t)st.st_mtim.tv_nsec);
	}
	return hash;
}

void
generations_watch_begin(struct work *work, uint64_t now_us)
{
	work->fingerprint = look_at_files(work->what);
	work->look_us = now_us + WATCH_US;
}

void
generations_watch_look(struct work *work, uint64_t now_us)
{
	uint64_t seen;

	if (work->what->watched_count == 0 || now_us < work->look_us || work->stop_signal != 0)
		return;
	work->look_us = now_us + WATCH_US;
	seen = look_at_files(work->what);
	if (seen != work->fingerprint) {
		work->fingerprint = seen;
		work->changed_us = now_us;
	} else if (work->changed_us != 0 && now_us >= work->watch_reload_us + WATCH_PAUSE_US) {
		work->changed_us = 0;
		work->watch_reload_us = now_us;
		log_info("%s: the program of a language, or its set of packages, has changed", work->what->name);
		work->wants_next = true;
	}
}
