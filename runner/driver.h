/*
 * driver.h - the languages with a driver: code in the interpreter's own language that makes it a
 * zygote. See guest/NAME/.
 */
#ifndef CELLBLOCK_DRIVER_H
#define CELLBLOCK_DRIVER_H

#define DRIVER_NAMES "python3, nodejs"
#define DRIVER_ARGS 3
#define DRIVER_VARIABLES 3

/*
 * How an interpreter is started so that it loads its driver, which lies in the working directory;
 * and how it runs the driver's probe, a script on its stdin. Each list ends with a NULL.
 *
 * `filler`, if not NUL, is a letter that the last argument may have at its end any number of times.
 * That makes the argument as long as the name of the main file, so ps(1) can show that instead
 * (process_title.h).
 */
struct driver {
	const char *name;
	const char *args[DRIVER_ARGS];
	char filler;
	const char *env[DRIVER_VARIABLES];
	const char *probe; /* a file beside the driver; see start/probe.h */
	const char *probe_args[DRIVER_ARGS];
};

/* Returns the driver of that name, or NULL if there is none. */
const struct driver *driver_find(const char *name);

#endif
