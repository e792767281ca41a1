/* metrics_text.c - see metrics_text.h. Runs in the status process. */
#define _GNU_SOURCE
#include "metrics_text.h"

#include <inttypes.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "autoconfig.h"

#define OTHER_KEYS "(other)" /* no key has this name: names have no brackets */
#define CALL_NAME_MAX 64

/* ---- lines ------------------------------------------------------------------------------------------------------- */

static void
begin(FILE *out, const char *name, const char *type, const char *help)
{
	fprintf(out, "# HELP cellblock_%s %s\n# TYPE cellblock_%s %s\n", name, help, name, type);
}

/* A label's value, of at most `size` bytes. */
static void
put_escaped(FILE *out, const char *text, size_t size)
{
	for (size_t i = 0; i < size && text[i] != '\0'; i++) {
		if (text[i] == '\n')
			fputs("\\n", out);
		else if (text[i] == '"' || text[i] == '\\')
			fprintf(out, "\\%c", text[i]);
		else if ((unsigned char)text[i] < 0x20 || (unsigned char)text[i] >= 0x7f)
			putc('?', out); /* a label must be UTF-8 */
		else
			putc(text[i], out);
	}
}

/* A line with one label. The other form has a second one, whose value needs no escapes. */
static void
put_labelled(FILE *out, const char *name, const char *label, const char *value, size_t size, uint64_t n)
{
	fprintf(out, "cellblock_%s{%s=\"", name, label);
	put_escaped(out, value, size);
	fprintf(out, "\"} %" PRIu64 "\n", n);
}

static void
put_language(FILE *out, const char *name, const struct metrics_language *language, const char *label, const char *value,
    uint64_t n)
{
	fprintf(out, "cellblock_%s{language=\"", name);
	put_escaped(out, language->name, sizeof language->name);
	fprintf(out, "\",%s=\"%s\"} %" PRIu64 "\n", label, value, n);
}

static void
put_seconds(FILE *out, uint64_t us)
{
	fprintf(out, "%" PRIu64 ".%06u\n", us / 1000000u, (unsigned)(us % 1000000u));
}

static void
put_single(FILE *out, const char *name, const char *type, const char *help, uint64_t n)
{
	begin(out, name, type, help);
	fprintf(out, "cellblock_%s %" PRIu64 "\n", name, n);
}

/* ---- languages --------------------------------------------------------------------------------------------------- */

/* A figure of each language that is a plain number. */
struct language_figure {
	const char *name, *type, *help;
	size_t offset; /* of the uint64_t in struct metrics_language */
	bool compiled_only;
	bool in_us;
};

#define FIGURE(field) offsetof(struct metrics_language, field)

static const struct language_figure language_figures[] = {
	{ "runs_running", "gauge", "Programs that run now.", FIGURE(running), false, false },
	{ "runs_queued", "gauge", "Runs and compilations that wait for a cell now.", FIGURE(queued), false, false },
	{ "cells_armed", "gauge", "Cells that wait for a run.", FIGURE(armed), false, false },
	{ "compile_cache_hits_total", "counter", "Programs that had been compiled before.", FIGURE(cache_hits), true, false },
	{ "compile_cache_misses_total", "counter", "Programs that had to be compiled.", FIGURE(cache_misses), true, false },
	{ "zygotes", "gauge", "Warm processes that serve.", FIGURE(zygotes), false, false },
	{ "zygote_oldest_age_seconds", "gauge", "Age of the oldest zygote that serves.", FIGURE(zygote_oldest_us), false, true },
	{ "zygote_forks_total", "counter", "Guests requested of zygotes.", FIGURE(zygote_forks), false, false },
	{ "zygotes_replaced_total", "counter", "Zygotes that gave way to a younger one.", FIGURE(zygotes_replaced), false,
	    false },
	{ "zygote_deaths_total", "counter", "Zygotes that died while they served.", FIGURE(zygote_deaths), false, false },
	{ "warden_deaths_total", "counter", "Wardens that died.", FIGURE(warden_deaths), false, false },
};

static void
put_figure(FILE *out, const struct metrics *metrics, const struct language_figure *figure)
{
	begin(out, figure->name, figure->type, figure->help);
	for (size_t l = 0; l < metrics->language_count; l++) {
		const struct metrics_language *language = &metrics->language[l];
		uint64_t n;

		if (figure->compiled_only && !language->is_compiled)
			continue;
		memcpy(&n, (const char *)language + figure->offset, sizeof n);
		if (figure->in_us && n == 0)
			continue; /* the age of nothing */
		if (!figure->in_us) {
			put_labelled(out, figure->name, "language", language->name, sizeof language->name, n);
			continue;
		}
		fprintf(out, "cellblock_%s{language=\"", figure->name);
		put_escaped(out, language->name, sizeof language->name);
		fputs("\"} ", out);
		put_seconds(out, n);
	}
}

static void
put_states(FILE *out, const struct metrics *metrics)
{
	static const char *const names[METRICS_LANGUAGE_STATES] = {
		[METRICS_MISSING] = "missing",
		[METRICS_ASLEEP] = "asleep",
		[METRICS_STARTING] = "starting",
		[METRICS_SERVING] = "serving",
		[METRICS_FAILING] = "failing",
	};

	begin(out, "language_state", "gauge", "1 for the state that the language is in, 0 for the others.");
	for (size_t l = 0; l < metrics->language_count; l++) {
		for (size_t s = 0; s < METRICS_LANGUAGE_STATES; s++)
			put_language(out, "language_state", &metrics->language[l], "state", names[s],
			    metrics->language[l].state == s);
	}
}

static void
put_ends(FILE *out, const struct metrics *metrics)
{
	begin(out, "runs_total", "counter", "Runs that were carried out, by the status of their reply.");
	for (size_t l = 0; l < metrics->language_count; l++) {
		for (size_t v = 0; v < VERDICT_COUNT; v++) {
			if (v != VERDICT_COMPILE_ERROR)
				put_language(out, "runs_total", &metrics->language[l], "status",
				    proto_verdict_name((enum verdict)v), metrics->language[l].runs[v]);
		}
	}
	begin(out, "compilations_total", "counter", "Compilations that were carried out, by how the compiler ended.");
	for (size_t l = 0; l < metrics->language_count; l++) {
		for (size_t v = 0; v < VERDICT_COUNT && metrics->language[l].is_compiled; v++)
			put_language(out, "compilations_total", &metrics->language[l], "status",
			    proto_verdict_name((enum verdict)v), metrics->language[l].compilations[v]);
	}
}

const char *
metrics_text_refusal(enum refusal refusal)
{
	switch (refusal) {
	case REFUSED_BUSY:
		return "busy";
	case REFUSED_UNAVAILABLE:
		return "unavailable";
	case REFUSED_MISSING:
		return "missing";
	case REFUSED_FAULT:
		return "fault";
	case REFUSED_MALFORMED:
		return "malformed";
	case REFUSED_RATE:
		return "rate";
	case REFUSED_SHARE:
		return "share";
	case REFUSED_STOPPING:
		return "stopping";
	case REFUSED_LOST:
		return "lost";
	case REFUSED_TOO_LARGE:
		return "too_large";
	}
	return "unknown";
}

static void
put_refusals(FILE *out, const struct metrics *metrics)
{
	begin(out, "refusals_total", "counter", "Runs and compilations that were refused or lost, by the reason.");
	for (size_t l = 0; l < metrics->language_count; l++) {
		for (size_t r = REFUSED_BUSY; r < METRICS_REFUSALS; r++)
			put_language(out, "refusals_total", &metrics->language[l], "reason",
			    metrics_text_refusal((enum refusal)r), metrics->language[l].refusals[r]);
	}
}

/* ---- histograms -------------------------------------------------------------------------------------------------- */

static const struct {
	const char *name, *help;
} times[METRICS_TIMES] = {
	[METRICS_QUEUE] = { "run_queue_seconds", "How long runs waited for a cell." },
	[METRICS_SPAWN] = { "run_spawn_seconds", "How long it took to hand a program over to its cell." },
	[METRICS_WALL] = { "run_wall_seconds", "How long programs ran." },
	[METRICS_CPU] = { "run_cpu_seconds", "CPU time of programs." },
};

static void
put_histogram_line(FILE *out, const char *name, const char *part, const struct metrics_language *language)
{
	fprintf(out, "cellblock_%s_%s{language=\"", name, part);
	put_escaped(out, language->name, sizeof language->name);
}

/* The count is the sum of the buckets, so that the two always agree. */
static void
put_histogram(FILE *out, const char *name, const struct metrics_language *language, const struct metrics_histogram *histogram)
{
	static const uint64_t ends[METRICS_BUCKETS] = METRICS_BUCKET_ENDS_US;
	uint64_t count = 0;

	for (size_t i = 0; i < METRICS_BUCKETS; i++) {
		count += histogram->bucket[i];
		put_histogram_line(out, name, "bucket", language);
		fprintf(out, "\",le=\"%g\"} %" PRIu64 "\n", (double)ends[i] / 1e6, count);
	}
	count += histogram->bucket[METRICS_BUCKETS];
	put_histogram_line(out, name, "bucket", language);
	fprintf(out, "\",le=\"+Inf\"} %" PRIu64 "\n", count);
	put_histogram_line(out, name, "sum", language);
	fputs("\"} ", out);
	put_seconds(out, histogram->sum_us);
	put_histogram_line(out, name, "count", language);
	fprintf(out, "\"} %" PRIu64 "\n", count);
}

static bool
has_run(const struct metrics_language *language)
{
	const struct metrics_histogram *wall = &language->time[METRICS_WALL];
	uint64_t count = 0;

	for (size_t i = 0; i <= METRICS_BUCKETS; i++)
		count += wall->bucket[i];
	return count > 0;
}

/* Of the languages that have run a program. Others would add hundreds of lines of zeros. */
static void
put_histograms(FILE *out, const struct metrics *metrics)
{
	for (size_t t = 0; t < METRICS_TIMES; t++) {
		begin(out, times[t].name, "histogram", times[t].help);
		for (size_t l = 0; l < metrics->language_count; l++) {
			if (has_run(&metrics->language[l]))
				put_histogram(out, times[t].name, &metrics->language[l], &metrics->language[l].time[t]);
		}
	}
}

/* ---- the service ------------------------------------------------------------------------------------------------- */

static void
put_cells(FILE *out, const struct metrics *metrics)
{
	begin(out, "cells", "gauge", "Cells by state.");
	for (size_t s = 0; s < METRICS_CELL_STATES && metrics->cells[s].state[0] != '\0'; s++)
		put_labelled(out, "cells", "state", metrics->cells[s].state, sizeof metrics->cells[s].state,
		    metrics->cells[s].count);
}

static void
put_denied(FILE *out, const struct metrics *metrics)
{
	begin(out, "denied_calls_total", "counter", "System calls that were denied, as runs report them.");
	for (size_t i = 0; i < METRICS_CALLS; i++) {
		char number[16], *name;

		if (metrics->denied[i] == 0)
			continue;
		snprintf(number, sizeof number, "%zu", i);
		name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, (int)i);
		put_labelled(out, "denied_calls_total", "call", name != NULL ? name : number, CALL_NAME_MAX, metrics->denied[i]);
		free(name);
	}
	put_labelled(out, "denied_calls_total", "call", "other", sizeof "other", metrics->denied[METRICS_CALLS]);
}

void
metrics_text_service(FILE *out, const struct metrics *metrics, enum level level)
{
	put_single(out, "runner_up", "gauge", "Whether the runner answers.", metrics != NULL);
	begin(out, "build_info", "gauge", "1; the labels say which program answers.");
	fprintf(out, "cellblock_build_info{version=\"%s\",level=\"%s\"} 1\n", PACKAGE_VERSION,
	    metrics != NULL ? proto_level_name(level) : "");
	if (metrics == NULL)
		return;
	begin(out, "start_time_seconds", "gauge", "When the runner started, in seconds since 1970.");
	fputs("cellblock_start_time_seconds ", out);
	put_seconds(out, metrics->started_us);
	if (metrics->generation != 0)
		put_single(out, "generation", "gauge", "Which of its runners serves, counted since the service started.",
		    metrics->generation);
	put_cells(out, metrics);
	put_single(out, "cells_configured", "gauge", "The most cells, runner.cells.", metrics->cell_count);
	put_single(out, "queue_configured", "gauge", "The most runs that wait, runner.queue.", metrics->queue_most);
	put_single(out, "worker_connections", "gauge", "Connections of workers to the runner.", metrics->connections);
	put_single(out, "compile_cache_bytes", "gauge", "Size of the compiled programs that are kept.", metrics->cache_bytes);
	put_single(out, "compile_cache_configured_bytes", "gauge", "The most of it, runner.compiled_bytes.",
	    metrics->cache_most_bytes);
	put_single(out, "compile_cache_programs", "gauge", "Compiled programs that are kept.", metrics->cache_programs);
	for (size_t i = 0; i < sizeof language_figures / sizeof language_figures[0]; i++)
		put_figure(out, metrics, &language_figures[i]);
	put_states(out, metrics);
	put_ends(out, metrics);
	put_refusals(out, metrics);
	put_denied(out, metrics);
	put_histograms(out, metrics);
}

/* ---- keys -------------------------------------------------------------------------------------------------------- */

static const struct {
	const char *name, *type, *help;
	size_t offset; /* of the uint64_t in struct metrics_key */
	bool in_us;
} key_figures[] = {
	{ "key_runs_total", "counter", "Runs that were carried out.", offsetof(struct metrics_key, runs), false },
	{ "key_refusals_total", "counter", "Runs and compilations that were refused or lost.",
	    offsetof(struct metrics_key, refusals), false },
	{ "key_cpu_seconds_total", "counter", "CPU time of runs and compilations.", offsetof(struct metrics_key, cpu_us), true },
	{ "key_running", "gauge", "Runs and compilations now.", offsetof(struct metrics_key, running), false },
	{ "key_waiting", "gauge", "Runs and compilations that wait for a cell now.", offsetof(struct metrics_key, waiting),
	    false },
};

void
metrics_text_keys(FILE *out, const struct metrics *metrics)
{
	for (size_t f = 0; f < sizeof key_figures / sizeof key_figures[0]; f++) {
		begin(out, key_figures[f].name, key_figures[f].type, key_figures[f].help);
		for (size_t i = 0; i <= METRICS_KEYS; i++) {
			const struct metrics_key *key = &metrics->key[i];
			uint64_t n;

			if (i < METRICS_KEYS && key->name[0] == '\0')
				continue;
			memcpy(&n, (const char *)key + key_figures[f].offset, sizeof n);
			fprintf(out, "cellblock_%s{key=\"", key_figures[f].name);
			if (i < METRICS_KEYS)
				put_escaped(out, key->name, sizeof key->name);
			else
				fputs(OTHER_KEYS, out);
			fputs("\"} ", out);
			if (key_figures[f].in_us)
				put_seconds(out, n);
			else
				fprintf(out, "%" PRIu64 "\n", n);
		}
	}
}
