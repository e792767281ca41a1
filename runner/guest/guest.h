/*
 * guest.h - what is the same in the zygote of every language: how it is walled in, how it makes guests, and how a guest
 * gets its run. Linked into what runs inside the interpreters, and into the runner for its launchers (launcher.c).
 *
 * A driver calls, in a zygote: zygote_read_setup, zygote_wall_in, zygote_report, zygote_make_guests; and in each guest,
 * where that returns: guest_report_ready, guest_receive_run, guest_map_job. All descriptors are those of messages.h.
 */
#ifndef CELLBLOCK_GUEST_H
#define CELLBLOCK_GUEST_H

#include <stdbool.h>
#include <stddef.h>

#include "job.h"
#include "messages.h"


extern struct zygote_setup zygote_setup;
extern struct guest_start guest_start; /* from guest_receive_run on */
extern bool guest_has_interpreter;     /* set by one that has descriptors and threads of its own, which stay */

#define GUEST_OUTPUT_FD 4 /* what was compiled, if guest_start.has_output */

/*
 * Read what the runner wrote for this zygote. *imports becomes the names of the modules to import, each ended by a NUL,
 * in zygote_setup.imports_bytes bytes that are never freed. Returns 0, or -1 if it is malformed.
 */
int zygote_read_setup(char **imports);

/*
 * Everything set here is inherited by the guests: no uid 0 magic, an empty bounding set, no_new_privs, and the base
 * filter. Returns 0, or -1 with errno; EBUSY means that there is a second thread, and no faithful fork.
 *
 * With `threads` other threads are put up with: the driver answers for it that they are idle whenever the zygote forks.
 * They come under the filter and no_new_privs too; the rest is for the calling thread, which alone forks guests.
 */
int zygote_wall_in(bool threads);

/* Tell the runner how the zygote came up; `error` 0 means that it serves. */
void zygote_report(int error, const char *version, const char *text);

/*
 * Make guests until the warden closes the socket. Returns in each guest, which is inside its cell and has lost its
 * privileges; never in the zygote. The caller does what its interpreter wants done before and after a fork.
 */
void zygote_make_guests(void);

/* A guest that cannot be made safe is not made: tell the runner which step failed (errno says why), and end. */
void guest_fail(const char *step) __attribute__((noreturn));

/* Tell the runner that this guest waits for a run, and forget what only the runner needs. */
void guest_report_ready(void);

/*
 * Before the execve(2) of a guest that is to be spare: put where hook.h says what the interpreter takes along.
 * `setup_fd`: the zygote's setup. guest_resume is the other side of it, in the interpreter. Both return 0, or -1 with errno.
 */
int guest_take_along(int setup_fd);
int guest_resume(void);

/*
 * This descriptor stays open in the run: the interpreter cannot do without it. The guest must have opened it itself, as
 * what it has from its zygote is shared with other guests. The channels of this file are not kept, whoever asks.
 */
void guest_keep_fd(int fd);

/*
 * Wait for the run, and take its first steps: stdio on 0, 1 and 2, rlimits, nothing else open but the job, what was compiled,
 * and what an interpreter keeps, and the last filter, for all threads. Ends the guest if one fails. Returns the descriptor of
 * the job; what is done with it is done behind all walls.
 */
int guest_receive_run(void);

/*
 * Map the job and check its head. Returns the code, which the preload, the arguments and the environment follow, in a
 * mapping of *size bytes that starts at the head. Closes `fd`. Ends the guest if the job is malformed.
 */
const char *guest_map_job(int fd, struct job_header *head, size_t *size);

/*
 * Write the source where an interpreter would have found it. Returns whether all of it is there: a program that does
 * not fit on its disk runs all the same, from memory.
 */
bool guest_write_main_file(const char *code, size_t size);

/* The same under another name. */
bool guest_write_file(const char *name, const char *code, size_t size);
/* The same for a language in which a preload is text before the text: with a line break between the two. */
bool guest_write_program(const struct job_header *head, const char *code);

#endif
