/* worker_tasks.cc - see worker_tasks.h. Runs in a guest of Node. */
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include <deque>
#include <map>
#include <memory>

#include <node.h>
#include <node_version.h>
#include <uv.h>

#include "guest/nodejs/worker_tasks.h"

namespace {

/*
 * A fork does not copy the threads of Node's platform, so their tasks go to a thread of the child.
 * It is started for the first task, because most programs have none. If it cannot be started, the
 * thread that waits for the tasks runs them.
 */
struct Tasks {
	pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	pthread_cond_t more, less;
	std::deque<std::unique_ptr<v8::Task>> ready;
	std::multimap<uint64_t, std::unique_ptr<v8::Task>> later; /* by due time, in uv_hrtime's ns */
	unsigned running = 0;
	bool was_asked = false, has_thread = false;
};

Tasks *tasks;

/* With the mutex: move the tasks that are due to `ready`. */
void
ripen()
{
	while (!tasks->later.empty() && tasks->later.begin()->first <= uv_hrtime()) {
		tasks->ready.push_back(std::move(tasks->later.begin()->second));
		tasks->later.erase(tasks->later.begin());
	}
}

/* With the mutex: run the first ready task. */
void
run_one()
{
	std::unique_ptr<v8::Task> task = std::move(tasks->ready.front());

	tasks->ready.pop_front();
	tasks->running++;
	pthread_mutex_unlock(&tasks->mutex);
	task->Run();
	task.reset();
	pthread_mutex_lock(&tasks->mutex);
	tasks->running--;
	pthread_cond_broadcast(&tasks->less);
}

void *
work(void *)
{
	pthread_mutex_lock(&tasks->mutex);
	for (;;) {
		ripen();
		if (!tasks->ready.empty()) {
			run_one();
		} else if (tasks->later.empty()) {
			pthread_cond_wait(&tasks->more, &tasks->mutex);
		} else {
			uint64_t due = tasks->later.begin()->first;
			struct timespec until = { (time_t)(due / 1000000000u), (long)(due % 1000000000u) };

			pthread_cond_timedwait(&tasks->more, &tasks->mutex, &until);
		}
	}
	return nullptr;
}

/* With the mutex: a task was added. Start the thread if necessary, and wake it. */
void
wake_worker()
{
	if (!tasks->was_asked) {
		sigset_t all, before;
		pthread_t thread;

		tasks->was_asked = true;
		sigfillset(&all);
		pthread_sigmask(SIG_SETMASK, &all, &before);
		tasks->has_thread = pthread_create(&thread, nullptr, work, nullptr) == 0;
		pthread_sigmask(SIG_SETMASK, &before, nullptr);
	}
	pthread_cond_signal(&tasks->more);
}

void
post(std::unique_ptr<v8::Task> task)
{
	pthread_mutex_lock(&tasks->mutex);
	tasks->ready.push_back(std::move(task));
	wake_worker();
	pthread_mutex_unlock(&tasks->mutex);
}

void
post_later(std::unique_ptr<v8::Task> task, double seconds)
{
	pthread_mutex_lock(&tasks->mutex);
	tasks->later.emplace(uv_hrtime() + (uint64_t)(seconds * 1e9), std::move(task));
	wake_worker();
	pthread_mutex_unlock(&tasks->mutex);
}

/*
 * Replacements of the four functions of Node's platform that use its threads. `self` is the
 * platform.
 */

int
number_of_worker_threads(v8::Platform *)
{
	return 1;
}

void
drain_tasks(node::MultiIsolatePlatform *self, v8::Isolate *of)
{
	do {
		pthread_mutex_lock(&tasks->mutex);
		while (!tasks->ready.empty() || tasks->running > 0) {
			if (!tasks->has_thread && !tasks->ready.empty())
				run_one();
			else
				pthread_cond_wait(&tasks->less, &tasks->mutex);
		}
		pthread_mutex_unlock(&tasks->mutex);
	} while (self->FlushForegroundTasks(of));
}

#if NODE_MAJOR_VERSION < 22
void
call_on_worker_thread(v8::Platform *, std::unique_ptr<v8::Task> task)
{
	post(std::move(task));
}

void
call_delayed_on_worker_thread(v8::Platform *, std::unique_ptr<v8::Task> task, double seconds)
{
	post_later(std::move(task), seconds);
}
#else
void
post_task(v8::Platform *, v8::TaskPriority, std::unique_ptr<v8::Task> task, const v8::SourceLocation &)
{
	post(std::move(task));
}

void
post_delayed_task(v8::Platform *, v8::TaskPriority, std::unique_ptr<v8::Task> task, double seconds, const v8::SourceLocation &)
{
	post_later(std::move(task), seconds);
}
#endif

/*
 * The slot of a virtual function in its table. By the C++ ABI a pointer to the member begins with
 * the offset in bytes. The ABI adds 1 to it on amd64, but not on arm64. The division drops that.
 */
template <typename Member>
size_t
slot_of(Member member)
{
	uintptr_t word;

	static_assert(sizeof member >= sizeof word, "a pointer to a member function");
	memcpy(&word, &member, sizeof word);
	return word / sizeof(void *);
}

/* A derived class may name the protected members. */
struct Names : v8::Platform {
	static void
	replace(void **table)
	{
		table[slot_of(&v8::Platform::NumberOfWorkerThreads)] = (void *)number_of_worker_threads;
#if NODE_MAJOR_VERSION < 22
		table[slot_of(&v8::Platform::CallOnWorkerThread)] = (void *)call_on_worker_thread;
		table[slot_of(&v8::Platform::CallDelayedOnWorkerThread)] = (void *)call_delayed_on_worker_thread;
#else
		table[slot_of(&Names::PostTaskOnWorkerThreadImpl)] = (void *)post_task;
		table[slot_of(&Names::PostDelayedTaskOnWorkerThreadImpl)] = (void *)post_delayed_task;
#endif
		table[slot_of(&node::MultiIsolatePlatform::DrainTasks)] = (void *)drain_tasks;
	}
};

} // namespace

void
replace_worker_threads(node::MultiIsolatePlatform *platform)
{
	static const size_t before = 2, size = 48; /* slots before the first function; more than there are functions */
	static void *table[before + size];
	void ***object = (void ***)platform;
	pthread_condattr_t monotonic;

	tasks = new Tasks;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&tasks->more, &monotonic);
	pthread_cond_init(&tasks->less, &monotonic);
	memcpy(table, *object - before, sizeof table);
	Names::replace(table + before);
	*object = table + before;
}
