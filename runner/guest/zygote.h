/*
 * zygote.h - a zygote: reads its setup, puts up its walls, and forks guests for its warden.
 *
 * The same for all languages. Linked into the objects that interpreters load, and into the runner
 * for its launchers (launcher.c). In a zygote a driver calls, in this order: zygote_begin,
 * zygote_wall_in, zygote_report, zygote_make_guests. All descriptors are those of messages.h.
 */
#ifndef CELLBLOCK_ZYGOTE_H
#define CELLBLOCK_ZYGOTE_H

#include <stdbool.h>

#include "guest/walls.h"
#include "messages.h"

extern struct zygote_setup zygote_setup; /* from zygote_begin or zygote_read_setup on */
extern bool zygote_is_launcher;          /* set by one: its guests are no programs yet */
extern struct walls zygote_walls;

/*
 * Read the setup that the runner wrote for this zygote, and name the process. *imports becomes the
 * names of the modules to import, each ended by a NUL, in zygote_setup.imports_bytes bytes; the
 * caller owns them. Returns 0, or -1 if the setup is malformed.
 */
int zygote_begin(char **imports);

/*
 * The same without the name, for the interpreter of a spare guest: it is no zygote, but needs to
 * know the same.
 */
int zygote_read_setup(char **imports);

/*
 * Put up the walls around the zygote (walls_around_zygote). Guests inherit all of them. Returns
 * NULL, or the name of the step that failed, with errno. EBUSY: the process has a second thread, so
 * a fork would not copy all of it.
 *
 * With `has_threads` other threads are accepted. The driver guarantees that they are idle whenever
 * the zygote forks. The filters and no_new_privs apply to them, too. The other layers apply to the
 * calling thread, which alone forks guests.
 */
const char *zygote_wall_in(bool has_threads);

/* Write a warning to the log, `log_fd`, in the form of log.h, with the language's name. */
void zygote_warn(int log_fd, const char *text);

/* Report to the broker whether the zygote serves: `error` 0, or another number and a text. */
void zygote_report(int error, const char *version, const char *text);

/* Report that zygote_wall_in returned `step`, with its errno. */
void zygote_report_failure(const char *version, const char *step);

/*
 * Fork guests until the warden closes the socket. Never returns in the zygote. Returns in each
 * guest, which is inside its cell and without privileges. The caller runs its interpreter's own
 * preparations for a fork.
 */
void zygote_make_guests(void);

#endif
