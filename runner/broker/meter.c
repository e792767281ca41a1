/* meter.c - see meter.h. Runs in the broker. */
#define _GNU_SOURCE
#include "broker/meter.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "broker/broker.h"
#include "broker/cell.h"
#include "broker/client.h"
#include "broker/language.h"
#include "broker/run.h"
#include "clock.h"
#include "log.h"
#include "metrics.h"
#include "sealed_memfd.h"

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010 /* Linux 5.1 */
#endif

#define SILENT_US 600000000u /* after which a key gives its place to another */

_Static_assert(METRICS_LANGUAGES == CONFIG_MAX_LANGUAGES, "each language has its figures");
_Static_assert(CELL_STATES <= METRICS_CELL_STATES, "each state of a cell has its figure");
_Static_assert((int)LANGUAGE_STATES == (int)METRICS_LANGUAGE_STATES && (int)LANGUAGE_SERVING == (int)METRICS_SERVING &&
        (int)LANGUAGE_MISSING == (int)METRICS_MISSING && (int)LANGUAGE_FAILING == (int)METRICS_FAILING,
    "both lists of states are the same");

static const char *const cell_states[CELL_STATES] = {
	[CELL_FREE] = "free",
	[CELL_ARMING] = "arming",
	[CELL_ARMED] = "armed",
	[CELL_RUNNING] = "running",
	[CELL_SETTLING] = "settling",
	[CELL_ENDING] = "ending",
	[CELL_RECLAIMING] = "reclaiming",
};

/* ---- the memory -------------------------------------------------------------------------------------------------- */

static void
describe(struct broker *broker, struct metrics *metrics)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	metrics->started_us = (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
	metrics->generation = broker->generation;
	metrics->cell_count = broker->config->cells;
	metrics->queue_most = broker->config->queue;
	metrics->cache_most_bytes = broker->config->compiled_bytes;
	metrics->language_count = broker->language_count;
	for (size_t l = 0; l < broker->language_count; l++) {
		const struct language_config *language = broker->language[l].config;

		snprintf(metrics->language[l].name, sizeof metrics->language[l].name, "%s", language->name);
		metrics->language[l].is_compiled = config_is_compiled(language);
	}
	for (size_t s = 0; s < CELL_STATES; s++)
		snprintf(metrics->cells[s].state, sizeof metrics->cells[s].state, "%s", cell_states[s]);
	metrics->version = METRICS_VERSION;
}

void
meter_begin(struct broker *broker)
{
	const int seals = F_SEAL_FUTURE_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
	int fd = sealed_memfd_begin("cellblock-metrics", SEALED_MEMFD_DATA);
	void *memory;

	if (fd < 0 || ftruncate(fd, sizeof(struct metrics)) != 0)
		die("make the memory of the metrics: %s", strerror(errno));
	memory = mmap(NULL, sizeof(struct metrics), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED)
		die("map the memory of the metrics: %s", strerror(errno));
	/*
	 * This mapping stays the only one that can be written: the seal denies others, and our
	 * children, which become wardens and launchers, do not get it.
	 */
	if (madvise(memory, sizeof(struct metrics), MADV_DONTFORK) != 0 || fcntl(fd, F_ADD_SEALS, seals) != 0)
		die("seal the memory of the metrics: %s", strerror(errno));
	describe(broker, memory);
	broker->metrics = memory;
	broker->metrics_fd = fd;
}

/* ---- counters ---------------------------------------------------------------------------------------------------- */

static struct metrics_language *
figures_of(struct broker *broker, const struct language *language)
{
	return &broker->metrics->language[language - broker->language];
}

static void
observe(struct metrics_histogram *histogram, uint64_t us)
{
	static const uint64_t ends[METRICS_BUCKETS] = METRICS_BUCKET_ENDS_US;
	size_t i = 0;

	while (i < METRICS_BUCKETS && us > ends[i])
		i++;
	metrics_add(&histogram->bucket[i], 1);
	metrics_add(&histogram->sum_us, us);
}

/* Give the place to the key `name`. The figures of the one before go to all others. */
static void
take_place(struct metrics *metrics, struct metrics_key *place, const char *name)
{
	struct metrics_key *others = &metrics->key[METRICS_KEYS];

	metrics_add(&others->runs, place->runs);
	metrics_add(&others->refusals, place->refusals);
	metrics_add(&others->cpu_us, place->cpu_us);
	__atomic_store_n(&place->turn, place->turn + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	metrics_set(&place->runs, 0);
	metrics_set(&place->refusals, 0);
	metrics_set(&place->cpu_us, 0);
	metrics_set(&place->running, 0);
	metrics_set(&place->waiting, 0);
	snprintf(place->name, sizeof place->name, "%s", name);
	__atomic_store_n(&place->turn, place->turn + 1, __ATOMIC_RELEASE);
}

/* The place of a key, or that of all others. */
static struct metrics_key *
find_place(struct metrics *metrics, const char *name)
{
	for (size_t i = 0; i < METRICS_KEYS && *name != '\0'; i++) {
		if (metrics->key[i].name[0] == '\0')
			break; /* places are taken in turn: the rest is free, too */
		if (strcmp(metrics->key[i].name, name) == 0)
			return &metrics->key[i];
	}
	return &metrics->key[METRICS_KEYS];
}

/* The same for a key that is being used: it gets a place if one is free, or its key is silent. */
static struct metrics_key *
place_of(struct metrics *metrics, const char *name)
{
	struct metrics_key *place = find_place(metrics, name);
	uint64_t now_us = clock_us();

	if (place == &metrics->key[METRICS_KEYS] && *name != '\0') {
		struct metrics_key *silent = metrics->key;

		for (size_t i = 1; i < METRICS_KEYS && silent->name[0] != '\0'; i++) {
			if (metrics->key[i].name[0] == '\0' || metrics->key[i].used_us < silent->used_us)
				silent = &metrics->key[i];
		}
		if (silent->name[0] == '\0' || now_us - silent->used_us > SILENT_US) {
			take_place(metrics, silent, name);
			place = silent;
		}
	}
	metrics_set(&place->used_us, now_us);
	return place;
}

/* The denied calls of a run: those that it reports by number, and the rest. */
static void
count_denied(struct metrics *metrics, const struct denied_calls *denied)
{
	uint64_t rest = denied->total;

	for (size_t i = 0; i < DENIED_CALLS && denied->call[i].count != 0; i++) {
		uint32_t number = denied->call[i].number;

		metrics_add(&metrics->denied[number < METRICS_CALLS ? number : METRICS_CALLS], denied->call[i].count);
		rest -= rest < denied->call[i].count ? rest : denied->call[i].count;
	}
	if (rest > 0)
		metrics_add(&metrics->denied[METRICS_CALLS], rest);
}

void
meter_ended(struct broker *broker, const struct run *run, const struct run_result *result, const char *key)
{
	struct metrics_language *language = figures_of(broker, run->language);
	struct metrics_key *place = place_of(broker->metrics, key);

	metrics_add(run->is_compile ? &language->compilations[result->verdict] : &language->runs[result->verdict], 1);
	metrics_add(&place->cpu_us, result->cpu_us);
	if (result->denied.total > 0)
		count_denied(broker->metrics, &result->denied);
	if (run->is_compile)
		return;
	metrics_add(&place->runs, 1);
	if (result->spawn_us == 0 && result->wall_us == 0)
		return; /* it ended before it began */
	observe(&language->time[METRICS_QUEUE], result->queue_us);
	observe(&language->time[METRICS_SPAWN], result->spawn_us);
	observe(&language->time[METRICS_WALL], result->wall_us);
	observe(&language->time[METRICS_CPU], result->cpu_us);
}

void
meter_refused(struct broker *broker, const struct run *run, enum refusal refusal, const char *key)
{
	metrics_add(&figures_of(broker, run->language)->refusals[refusal], 1);
	metrics_add(&place_of(broker->metrics, key)->refusals, 1);
}

void
meter_looked_for(struct broker *broker, const struct language *language, bool is_found)
{
	struct metrics_language *figures = figures_of(broker, language);

	metrics_add(is_found ? &figures->cache_hits : &figures->cache_misses, 1);
}

void
meter_zygote_follows(struct broker *broker, const struct zygote *zygote)
{
	struct metrics_language *figures = figures_of(broker, zygote->language);

	metrics_add(&figures->ended_forks, zygote->forks);
}

void
meter_zygote_replaced(struct broker *broker, const struct language *language)
{
	metrics_add(&figures_of(broker, language)->zygotes_replaced, 1);
}

void
meter_zygote_died(struct broker *broker, const struct language *language)
{
	metrics_add(&figures_of(broker, language)->zygote_deaths, 1);
}

void
meter_warden_died(struct broker *broker, const struct language *language)
{
	metrics_add(&figures_of(broker, language)->warden_deaths, 1);
}

/* ---- figures of the present -------------------------------------------------------------------------------------- */

static void
collect_language(struct broker *broker, const struct language *language, uint64_t now_us)
{
	struct metrics_language *figures = figures_of(broker, language);
	uint64_t zygotes = 0, oldest_us = 0, forks = figures->ended_forks, armed = 0;

	for (size_t z = 0; z < language->zygote_count; z++) {
		const struct zygote *zygote = &language->zygote[z];

		forks += zygote->forks;
		if (zygote->pid == 0 || !zygote->is_verified)
			continue;
		zygotes++;
		if (now_us - zygote->serves_us > oldest_us)
			oldest_us = now_us - zygote->serves_us;
	}
	for (size_t w = 0; w < LANGUAGE_POOLS; w++)
		armed += language->pool[w].armed_count;
	metrics_set(&figures->state, (uint64_t)language->state);
	metrics_set(&figures->zygotes, zygotes);
	metrics_set(&figures->zygote_oldest_us, oldest_us);
	metrics_set(&figures->zygote_forks, forks);
	metrics_set(&figures->queued, language->waiting);
	metrics_set(&figures->armed, armed);
}

static void
collect_cells(struct broker *broker)
{
	uint64_t states[CELL_STATES] = { 0 }, running[METRICS_LANGUAGES] = { 0 };

	for (uint32_t i = 0; i < broker->config->cells; i++) {
		const struct cell *cell = &broker->cell[i];

		states[cell->state]++;
		if (cell->state == CELL_RUNNING)
			running[cell->language - broker->language]++;
	}
	for (size_t s = 0; s < CELL_STATES; s++)
		metrics_set(&broker->metrics->cells[s].count, states[s]);
	for (size_t l = 0; l < broker->language_count; l++)
		metrics_set(&broker->metrics->language[l].running, running[l]);
}

/*
 * Connections, and what the runs of each key are doing. An account counts an admitted run among
 * those that run, so the sums from which those of all others are what is left do the same.
 */
static void
collect_clients(struct broker *broker)
{
	struct metrics *metrics = broker->metrics;
	const struct run_queue *queue = &broker->queue;
	uint64_t running = broker->running + queue->admitted, waiting = queue->listed + queue->parked, connections = 0;
	struct metrics_key *others = &metrics->key[METRICS_KEYS];
	const struct client *client;

	LIST_FOREACH(client, &broker->clients, in_all)
		connections++;
	metrics_set(&metrics->connections, connections);
	for (struct metrics_key *key = metrics->key; key < others; key++) {
		const struct key_account *account = key->name[0] == '\0' ? NULL : key_account_find(&broker->accounts, key->name);
		uint64_t key_running = account == NULL ? 0 : account->running;
		uint64_t key_waiting = account == NULL ? 0 : account->waiting;

		metrics_set(&key->running, key_running);
		metrics_set(&key->waiting, key_waiting);
		running -= earlier_us(key_running, running);
		waiting -= earlier_us(key_waiting, waiting);
	}
	metrics_set(&others->running, running);
	metrics_set(&others->waiting, waiting);
}

int
meter_collect(struct broker *broker)
{
	struct metrics *metrics = broker->metrics;
	uint64_t now_us = clock_us();

	for (size_t l = 0; l < broker->language_count; l++)
		collect_language(broker, &broker->language[l], now_us);
	collect_cells(broker);
	collect_clients(broker);
	metrics_set(&metrics->running, broker->running);
	metrics_set(&metrics->queued, run_queue_count(&broker->queue));
	metrics_set(&metrics->cache_bytes, broker->compile_cache.bytes);
	metrics_set(&metrics->cache_programs, broker->compile_cache.count);
	return broker->metrics_fd;
}
