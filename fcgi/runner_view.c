/* runner_view.c - see runner_view.h. Runs in the status process. */
#define _GNU_SOURCE
#include "runner_view.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"

#define FRESH_US 100000u /* an answer is used again for so long */
#define LATE_US 35000u   /* the wait for an answer, if there is an older one */
#define OLD_US 5000000u  /* which is used for so long */
#define GIVE_UP_US 2000000u
#define RETRY_US 1000000u /* a question that failed sooner is asked once more */

/* ---- the thread that asks ---------------------------------------------------------------------------------------- */

/*
 * Ask the runner. The connection may have ended, or been moved to a newer runner: so there is a
 * second attempt, on a new connection.
 */
static int
ask(struct runner_link *link, uint32_t kind, uint32_t index, struct proto_reply *reply, int *fd)
{
	const struct proto_request request = { .kind = kind, .index = index };
	uint64_t began_us = clock_us();
	int answered = -1;

	for (int attempt = 0; attempt < 2 && answered != 0 && clock_us() - began_us < RETRY_US; attempt++)
		answered = fd != NULL ? runner_link_ask_fd(link, &request, RECONNECT_ONCE, reply, fd) :
		                        runner_link_ask(link, &request, RECONNECT_ONCE, reply);
	return answered;
}

static int
ask_state(struct runner_view *view)
{
	struct proto_reply reply;

	if (ask(&view->link, PROTO_STATE, 0, &reply, NULL) != 0)
		return -1;
	pthread_mutex_lock(&view->lock);
	view->state = reply.u.state;
	pthread_mutex_unlock(&view->lock);
	return 0;
}

static int
ask_languages(struct runner_view *view)
{
	for (uint32_t i = 0; i < view->config->language_count; i++) {
		struct proto_reply reply;

		if (ask(&view->link, PROTO_LANGUAGE, i, &reply, NULL) != 0)
			return -1;
		pthread_mutex_lock(&view->lock);
		view->language[i] = reply.u.language;
		pthread_mutex_unlock(&view->lock);
	}
	return 0;
}

static int
ask_layers(struct runner_view *view)
{
	for (uint32_t i = 0; i < RUNNER_VIEW_LAYERS; i++) {
		struct proto_reply reply;

		if (ask(&view->link, PROTO_LAYER, i, &reply, NULL) != 0)
			return -1;
		if (reply.u.layer.name[0] == '\0') {
			pthread_mutex_lock(&view->lock);
			view->layer_count = i;
			pthread_mutex_unlock(&view->lock);
			break;
		}
		pthread_mutex_lock(&view->lock);
		view->layer[i] = reply.u.layer;
		pthread_mutex_unlock(&view->lock);
	}
	return 0;
}

/*
 * The figures of the runner that answers now. Each answer brings a descriptor; after a change of
 * runners it is that of other memory.
 */
static int
ask_metrics(struct runner_view *view)
{
	struct proto_reply reply;
	struct stat st;
	void *memory = MAP_FAILED;
	const struct metrics *before;
	int fd;

	if (ask(&view->link, PROTO_METRICS, 0, &reply, &fd) != 0)
		return -1;
	if (fstat(fd, &st) == 0 && st.st_size == (off_t)sizeof *view->metrics)
		memory = mmap(NULL, sizeof *view->metrics, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (memory == MAP_FAILED || ((const struct metrics *)memory)->version != METRICS_VERSION) {
		if (memory != MAP_FAILED)
			munmap(memory, sizeof *view->metrics);
		snprintf(view->link.error, sizeof view->link.error, "%.128s: the metrics are not of this version", view->link.path);
		return -1;
	}
	pthread_mutex_lock(&view->lock);
	before = view->metrics;
	view->metrics = memory;
	pthread_mutex_unlock(&view->lock);
	if (before != NULL)
		munmap((void *)before, sizeof *before);
	return 0;
}

static int (*const questions[VIEW_PARTS])(struct runner_view *view) = {
	[VIEW_STATE] = ask_state,
	[VIEW_LANGUAGES] = ask_languages,
	[VIEW_LAYERS] = ask_layers,
	[VIEW_METRICS] = ask_metrics,
};

/* Call this with the lock. Returns VIEW_PARTS if no part is wanted. */
static size_t
next_part(const struct runner_view *view)
{
	size_t part = 0;

	while (part < VIEW_PARTS && !view->part[part].is_wanted)
		part++;
	return part;
}

static void
wake(const struct runner_view *view)
{
	const uint64_t one = 1;

	if (write(view->wake_fd, &one, sizeof one) < 0)
		log_warn("wake the thread that asks the runner: %s", strerror(errno));
}

/*
 * Wait until a part is wanted. The runner speaks first only to say that a newer one serves, or by
 * ending: the connection is exchanged then, because the old runner waits for its end.
 */
static void
wait_for_work(struct runner_view *view)
{
	struct pollfd fds[] = { { .fd = view->wake_fd, .events = POLLIN }, { .fd = view->link.fd, .events = POLLIN } };
	uint64_t count;

	if (poll(fds, 2, -1) < 0) {
		if (errno != EINTR)
			die("poll: %s", strerror(errno));
		return;
	}
	if (fds[1].revents != 0)
		runner_link_idle(&view->link);
	if (fds[0].revents != 0 && read(view->wake_fd, &count, sizeof count) < 0 && errno != EAGAIN)
		die("read the eventfd: %s", strerror(errno));
}

void *
runner_view_ask(void *argument)
{
	struct runner_view *view = argument;

	pthread_mutex_lock(&view->lock);
	while (!view->stopping) {
		size_t at = next_part(view);
		struct view_part *part = &view->part[at];
		bool is_known;

		if (at == VIEW_PARTS) {
			pthread_mutex_unlock(&view->lock);
			wait_for_work(view);
			pthread_mutex_lock(&view->lock);
			continue;
		}
		part->is_wanted = false;
		pthread_mutex_unlock(&view->lock);
		is_known = questions[at](view) == 0;
		pthread_mutex_lock(&view->lock);
		part->is_known = is_known;
		part->asked++;
		part->asked_us = clock_us();
		view->level = view->link.level;
		view->other_config = view->link.other_config;
		if (!is_known)
			memcpy(view->error, view->link.error, sizeof view->error);
		pthread_cond_broadcast(&view->answered);
	}
	pthread_mutex_unlock(&view->lock);
	runner_link_close(&view->link);
	return NULL;
}

void
runner_view_init(struct runner_view *view, const struct config *config)
{
	pthread_condattr_t monotonic;

	*view = (struct runner_view){ .config = config, .wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) };
	runner_link_init(&view->link, config);
	view->link.any_config = true;
	if (view->wake_fd < 0)
		die("eventfd: %s", strerror(errno));
	if (pthread_condattr_init(&monotonic) != 0 || pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC) != 0 ||
	    pthread_mutex_init(&view->lock, NULL) != 0 || pthread_cond_init(&view->answered, &monotonic) != 0)
		die("cannot make the locks of the status process");
	pthread_condattr_destroy(&monotonic);
}

void
runner_view_stop(struct runner_view *view)
{
	pthread_mutex_lock(&view->lock);
	view->stopping = true;
	pthread_mutex_unlock(&view->lock);
	wake(view);
}

/* ---- the threads that read --------------------------------------------------------------------------------------- */

/* Wait until a question of the part has come to an end, or `until_us`. */
static void
wait_until(struct runner_view *view, const struct view_part *part, uint64_t asked, uint64_t until_us)
{
	struct timespec until = { .tv_sec = (time_t)(until_us / 1000000u), .tv_nsec = (long)(until_us % 1000000u) * 1000 };

	while (part->asked == asked && pthread_cond_timedwait(&view->answered, &view->lock, &until) != ETIMEDOUT)
		continue;
}

/* Take the lock, with the part as fresh as it can be had. Returns 0, or -1 with `error`. */
static int
lock_with(struct runner_view *view, enum runner_view_part which, char *error)
{
	struct view_part *part = &view->part[which];
	uint64_t now_us, asked;

	pthread_mutex_lock(&view->lock);
	now_us = clock_us();
	asked = part->asked;
	if (asked == 0 || now_us - part->asked_us > FRESH_US) {
		part->is_wanted = true;
		wake(view);
		wait_until(view, part, asked, now_us + LATE_US);
		if (part->asked == asked && (!part->is_known || now_us - part->asked_us > OLD_US))
			wait_until(view, part, asked, now_us + GIVE_UP_US);
		if (part->asked == asked && (!part->is_known || now_us - part->asked_us > OLD_US)) {
			snprintf(error, RUNNER_LINK_ERROR_SIZE, "%.128s: the runner does not answer", view->link.path);
			return -1;
		}
	}
	if (part->is_known)
		return 0;
	memcpy(error, view->error, RUNNER_LINK_ERROR_SIZE);
	return -1;
}

int
runner_view_state(struct runner_view *view, struct proto_state *state, char error[RUNNER_LINK_ERROR_SIZE])
{
	int got = lock_with(view, VIEW_STATE, error);

	if (got == 0)
		*state = view->state;
	pthread_mutex_unlock(&view->lock);
	return got;
}

int
runner_view_languages(struct runner_view *view, struct proto_language *list, char error[RUNNER_LINK_ERROR_SIZE])
{
	int got = lock_with(view, VIEW_LANGUAGES, error);

	if (got == 0)
		memcpy(list, view->language, view->config->language_count * sizeof *list);
	pthread_mutex_unlock(&view->lock);
	return got;
}

int
runner_view_layers(struct runner_view *view, struct proto_layer *list, size_t *count, enum level *level,
    char error[RUNNER_LINK_ERROR_SIZE])
{
	int got = lock_with(view, VIEW_LAYERS, error);

	if (got == 0) {
		memcpy(list, view->layer, view->layer_count * sizeof *list);
		*count = view->layer_count;
		*level = view->level;
	}
	pthread_mutex_unlock(&view->lock);
	return got;
}

/* The place of a key that changed hands meanwhile is copied again; in the end it is left out. */
static void
copy_key(struct metrics_key *to, const struct metrics_key *from)
{
	for (int attempt = 0; attempt < 3; attempt++) {
		uint64_t turn = __atomic_load_n(&from->turn, __ATOMIC_ACQUIRE);

		memcpy(to, from, sizeof *to);
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (turn % 2 == 0 && __atomic_load_n(&from->turn, __ATOMIC_RELAXED) == turn)
			return;
	}
	to->name[0] = '\0';
}

static void
copy_metrics(struct metrics *to, const struct metrics *from)
{
	uint64_t *words = (uint64_t *)(void *)to;
	const uint64_t *source = (const uint64_t *)(const void *)from;

	for (size_t i = 0; i < sizeof *to / sizeof *words; i++)
		words[i] = __atomic_load_n(&source[i], __ATOMIC_RELAXED);
	for (size_t i = 0; i < METRICS_KEYS; i++)
		copy_key(&to->key[i], &from->key[i]);
}

int
runner_view_metrics(struct runner_view *view, struct metrics *copy, enum level *level, char error[RUNNER_LINK_ERROR_SIZE])
{
	int got = lock_with(view, VIEW_METRICS, error);

	if (got == 0) {
		copy_metrics(copy, view->metrics);
		*level = view->level;
	}
	pthread_mutex_unlock(&view->lock);
	return got;
}

bool
runner_view_is_outdated(struct runner_view *view)
{
	bool is_outdated;

	pthread_mutex_lock(&view->lock);
	is_outdated = view->other_config;
	pthread_mutex_unlock(&view->lock);
	return is_outdated;
}
