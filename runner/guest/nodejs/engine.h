/*
 * engine.h - the operations on V8 and libuv that start.c needs. engine.cc is the only C++ here,
 * because V8's interface is C++. The interface changes with each major version of Node, so
 * engine.cc is built against the headers of one.
 */
#ifndef CELLBLOCK_ENGINE_H
#define CELLBLOCK_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ENGINE_SYMBOL "cellblock_engine"

struct engine {
	/*
	 * In the zygote, on the main thread, inside Node's open(2) of the program: run driver.js,
	 * which imports `count` modules, each ended by a NUL. Node's own stderr is not the log:
	 * driver.js has `warn` for a line there.
	 * Returns true, or false with a text in `error`.
	 */
	bool (*prepare)(const char *driver, void (*warn)(const char *text), const char *imports, uint32_t count, char *error,
	    size_t size);

	/* The version of this Node, for example "20.1.2". */
	const char *(*version)(void);

	/*
	 * In the zygote: search malloc's memory between the two addresses for Node's start time and
	 * for V8's random number generator, which was seeded with `seed`. Returns whether the
	 * generator was found.
	 */
	bool (*search_heap)(void *from, void *to, uint32_t seed);

	/*
	 * In the zygote, before it forks: finish the work of all threads, and collect all garbage.
	 */
	void (*settle)(void);

	/*
	 * In a child, before it uses Node: give it an event loop, threads and random numbers of its
	 * own. Returns true, or false with errno.
	 */
	bool (*enter_child)(void);

	/*
	 * In a guest, before the run comes: take note of what the run may change. A guest that
	 * rehearses does the first things that every run does, too. `end` is to end the program
	 * with its exit status.
	 */
	void (*begin_guest)(bool rehearses, void (*end)(int status));

	/* Start the clock of the run, and set its arguments, each ended by a NUL. */
	void (*begin)(const char *args, uint32_t count);

	/*
	 * The first of `count` needs, a name and a version or "" by turns, that is not installed: a
	 * text that lasts, or NULL.
	 */
	const char *(*missing_need)(const char *needs, uint32_t count);

	/* Have Node read environment variables again that C code has set. */
	void (*environment_changed)(void);

	/* Is this source an ES module that Node itself would not detect? From 22.7 on Node does. */
	bool (*is_module)(const char *text, size_t size);

	/* Node is about to run an empty program. Have it run the module at `path` afterwards. */
	void (*run_module)(const char *path);
};

#endif
