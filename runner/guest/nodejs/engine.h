/*
 * engine.h - what start.c wants done with V8 and libuv. engine.cc is the only C++ here: V8's interface demands it, and
 * differs from one major version of Node to the next, so engine.cc is built against the headers of one.
 */
#ifndef CELLBLOCK_ENGINE_H
#define CELLBLOCK_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ENGINE_SYMBOL "cellblock_engine"

struct engine {
	/*
	 * In the zygote, on the main thread, below the call with which Node opens the program: run driver.js, which
	 * imports `count` modules, each ended by a NUL. Returns whether that went well, else what went wrong in `error`.
	 */
	bool (*prepare)(const char *driver, const char *imports, uint32_t count, char *error, size_t size);

	/* The version of this Node, "20.1.2". */
	const char *(*version)(void);

	/*
	 * In the zygote: find, between these addresses of malloc's, where Node keeps the time at which it started, and V8 its
	 * random number generator, which has been seeded with `seed`. Returns whether the latter is found.
	 */
	bool (*search_heap)(void *from, void *to, uint32_t seed);

	/* The zygote's last step before it forks: nothing left to be done by any thread, and no garbage. */
	void (*settle)(void);

	/* In a child, before anything else is done with Node: an event loop, threads and randomness of its own. */
	void (*enter_child)(void);

	/* In a guest: do, before there is a run, what each does first. */
	void (*rehearse)(void);

	/* The run begins: its clock, and its arguments, each ended by a NUL. */
	void (*begin)(const char *args, uint32_t count);

	/* Variables of the environment have been set by C; Node has read some of them already. */
	void (*environment_changed)(void);

	/* Is this source an ES module, and is it for us to say? Node does from 22.7 on. */
	bool (*is_module)(const char *text, size_t size);

	/* Node is about to run an empty program; let it go on with the module at `path`. */
	void (*run_module)(const char *path);
};

#endif
