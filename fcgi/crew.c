/* crew.c - see crew.h. Runs in the threads of the worker. */
#define _GNU_SOURCE
#include "crew.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "log.h"

void
crew_init(struct crew *crew, uint32_t threads)
{
	*crew = (struct crew){ .lock = PTHREAD_MUTEX_INITIALIZER,
		.left = PTHREAD_COND_INITIALIZER,
		.call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
		.idle_most = threads - (threads + 3) / 4,
		.links = CREW_LINKS };
	if (crew->call_fd < 0)
		die("eventfd: %s", strerror(errno));
	TAILQ_INIT(&crew->works);
}

/* Wake one thread that waits. It calls the next one, if more are wanted. */
static void
call(const struct crew *crew)
{
	uint64_t one = 1;

	/* It is full only if a call has not been answered yet, which is as good. */
	if (write(crew->call_fd, &one, sizeof one) < 0 && errno != EAGAIN)
		die("eventfd: %s", strerror(errno));
}

void
crew_offer(struct crew *crew, struct crew_work *work, uint32_t wanted)
{
	work->helpers = 0;
	work->wanted = wanted;
	if (wanted == 0)
		return;
	pthread_mutex_lock(&crew->lock);
	TAILQ_INSERT_TAIL(&crew->works, work, in_list);
	pthread_mutex_unlock(&crew->lock);
	call(crew);
}

/* No more helpers for it. The lock is held. */
static void
close_work(struct crew *crew, struct crew_work *work)
{
	if (work->wanted > 0)
		TAILQ_REMOVE(&crew->works, work, in_list);
	work->wanted = 0;
}

void
crew_withdraw(struct crew *crew, struct crew_work *work)
{
	pthread_mutex_lock(&crew->lock);
	close_work(crew, work);
	while (work->helpers > 0)
		pthread_cond_wait(&crew->left, &crew->lock);
	pthread_mutex_unlock(&crew->lock);
}

/*
 * Join the work that has waited longest; it goes to the end, so that all get help in turn. The lock
 * is held. Returns NULL if there is none.
 */
static struct crew_work *
join(struct crew *crew)
{
	struct crew_work *work = TAILQ_FIRST(&crew->works);

	if (work == NULL || crew->helpers >= crew->idle_most)
		return NULL;
	TAILQ_REMOVE(&crew->works, work, in_list);
	if (--work->wanted > 0)
		TAILQ_INSERT_TAIL(&crew->works, work, in_list);
	work->helpers++;
	crew->helpers++;
	return work;
}

void
crew_help(struct crew *crew, struct worker *worker)
{
	struct crew_work *work;
	uint64_t calls;

	if (read(crew->call_fd, &calls, sizeof calls) < 0 && errno != EAGAIN)
		die("eventfd: %s", strerror(errno));
	pthread_mutex_lock(&crew->lock);
	while ((work = join(crew)) != NULL) {
		if (!TAILQ_EMPTY(&crew->works) && crew->helpers < crew->idle_most)
			call(crew);
		pthread_mutex_unlock(&crew->lock);
		work->perform(work, worker);
		pthread_mutex_lock(&crew->lock);
		close_work(crew, work); /* there is no more of it */
		crew->helpers--;
		work->helpers--;
		pthread_cond_broadcast(&crew->left);
	}
	pthread_mutex_unlock(&crew->lock);
}

bool
crew_take_link(struct crew *crew)
{
	bool is_free;

	pthread_mutex_lock(&crew->lock);
	is_free = crew->links > 0;
	crew->links -= is_free;
	pthread_mutex_unlock(&crew->lock);
	return is_free;
}

void
crew_give_link(struct crew *crew)
{
	pthread_mutex_lock(&crew->lock);
	crew->links++;
	pthread_mutex_unlock(&crew->lock);
}
