/*
 * runner_view.h - the state of the runner, as the status process last saw it.
 *
 * One thread asks the runner, and any number of threads read the answers. So a flood of requests
 * for the state costs the runner a few questions a second. An answer that is late is replaced by
 * the last one for some seconds: a busy runner does not make the status late.
 */
#ifndef CELLBLOCK_RUNNER_VIEW_H
#define CELLBLOCK_RUNNER_VIEW_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"
#include "metrics.h"
#include "proto.h"
#include "runner_link.h"

#define RUNNER_VIEW_LAYERS 64

enum runner_view_part { VIEW_STATE, VIEW_LANGUAGES, VIEW_LAYERS, VIEW_METRICS, VIEW_PARTS };

struct runner_view {
	const struct config *config;
	pthread_mutex_t lock; /* for all that follows, but `link` */
	pthread_cond_t answered;
	bool stopping;
	struct view_part {
		bool is_wanted;
		bool is_known;     /* the last question was answered */
		uint64_t asked;    /* number of questions that have come to an end */
		uint64_t asked_us; /* when the last of them did; 0: never */
	} part[VIEW_PARTS];
	struct proto_state state;
	struct proto_language language[CONFIG_MAX_LANGUAGES]; /* in the configuration's order */
	struct proto_layer layer[RUNNER_VIEW_LAYERS];
	size_t layer_count;
	enum level level;
	bool other_config; /* the runner's configuration is not the one that this process has read */
	const struct metrics *metrics;
	char error[RUNNER_LINK_ERROR_SIZE]; /* of the last question without an answer */

	struct runner_link link; /* of the thread that asks */
	int wake_fd;             /* an eventfd, by which that thread is woken */
};

/* Initialise the view. Call it once. Dies if a lock or a descriptor cannot be made. */
void runner_view_init(struct runner_view *view, const struct config *config);

/* The thread that asks the runner, until runner_view_stop. `view`: a struct runner_view. */
void *runner_view_ask(void *view);

/* Have that thread end. The caller then joins it. */
void runner_view_stop(struct runner_view *view);

/*
 * Get a part of the view, at most 0.1 s old, or some seconds old where the runner is late. Returns
 * 0, or -1 with the cause in `error`: the runner cannot be reached, or does not answer. Waits for 2
 * seconds at most.
 */
int runner_view_state(struct runner_view *view, struct proto_state *state, char error[RUNNER_LINK_ERROR_SIZE]);

/* The same. `list` has room for CONFIG_MAX_LANGUAGES; all of the configuration's are set. */
int runner_view_languages(struct runner_view *view, struct proto_language *list, char error[RUNNER_LINK_ERROR_SIZE]);

/* The same. `list` has room for RUNNER_VIEW_LAYERS. */
int runner_view_layers(struct runner_view *view, struct proto_layer *list, size_t *count, enum level *level,
    char error[RUNNER_LINK_ERROR_SIZE]);

/*
 * The same. The copy has each counter whole, and no key's place that was being given to another
 * key.
 */
int runner_view_metrics(struct runner_view *view, struct metrics *copy, enum level *level, char error[RUNNER_LINK_ERROR_SIZE]);

/* Whether the runner serves with another configuration than this process has read. */
bool runner_view_is_outdated(struct runner_view *view);

#endif
