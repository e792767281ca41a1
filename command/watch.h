/* watch.h - waits until one of some files has changed. */
#ifndef CELLBLOCK_WATCH_H
#define CELLBLOCK_WATCH_H

#include <stddef.h>

struct watch;

/*
 * Watch these files from now on. The directories are watched, so a file may be replaced as editors
 * do it, or be missing for a while. Returns a handle for watch_close; exits if a directory cannot
 * be watched.
 */
struct watch *watch_open(const char *const *paths, size_t count);

/* Wait until one has changed since the last call, and nothing has changed for a moment. */
void watch_wait(struct watch *watch);

void watch_close(struct watch *watch);

#endif
