/* worker_tasks.h - runs the tasks that Node would give to its worker threads, in a guest. */
#ifndef CELLBLOCK_WORKER_TASKS_H
#define CELLBLOCK_WORKER_TASKS_H

#include <node.h>

/*
 * Give Node's platform a function table of its own, with replacements of the four functions that
 * use its threads. Called once, in a guest that has just been forked: the threads are the zygote's.
 */
__attribute__((visibility("hidden"))) void replace_worker_threads(node::MultiIsolatePlatform *platform);

#endif
