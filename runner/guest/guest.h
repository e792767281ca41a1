/*
 * guest.h - a guest: how it reports to the broker, receives its run, and hands the program over.
 *
 * The same for all languages. Linked into the objects that interpreters load, and into the runner
 * for its launchers (launcher.c). In each guest that zygote_make_guests (zygote.h) returns in, a
 * driver calls, in this order:
 *
 *     guest_report_ready, guest_receive_run, guest_map_job, guest_write_file or guest_write_program,
 *     guest_close_control
 *
 * and then starts the program. A step that fails is reported to the broker by guest_fail.
 */
#ifndef CELLBLOCK_GUEST_H
#define CELLBLOCK_GUEST_H

#include <stdbool.h>
#include <stddef.h>

#include "guest/job_files.h"
#include "guest/walls.h"
#include "job.h"
#include "messages.h"

#define EXIT_NOT_STARTED 127 /* of a program that could not begin */

extern struct guest_start guest_start; /* from guest_receive_run on */
extern bool guest_has_interpreter;     /* set by a driver whose descriptors and threads stay */
extern bool guest_rehearses;           /* the broker wants a driver to rehearse a run before guest_report_ready */

/*
 * This process, just forked, is a guest now. `control_fd` moves to GUEST_CONTROL_FD. `walls` must
 * last; the guest owns walls->place_fd and box_fd. Ends the guest if that fails.
 */
void guest_begin(struct walls *walls, int control_fd);

/*
 * Send the broker errno and `step` on `control_fd`. Failures are ignored: the broker sees its end.
 */
void guest_report_failure(int control_fd, const char *step);

/*
 * A step failed, and errno says why: report it to the broker and exit with status 127. Works until
 * guest_close_control, also behind the last filter. Afterwards it only exits.
 */
void guest_fail(const char *step) __attribute__((noreturn));

/*
 * Before guest_report_ready: share a tally of the guest's memory with the broker. Returns it,
 * mapped for good, or NULL if it is unavailable.
 */
struct guest_memory *guest_share_memory(void);

/* Report to the broker that this guest waits for a run. Closes the descriptors that it sends. */
void guest_report_ready(void);

/*
 * Before the execve(2) that makes a guest spare: place the descriptors at the numbers of hook.h.
 * `setup_fd`: the zygote's setup. Returns 0, or -1 with errno.
 */
int guest_take_along(int setup_fd);

/*
 * The other side of guest_take_along, in the interpreter: find the descriptors. Fills in place_fd
 * and box_fd of `walls`, which must last. Returns 0, or -1 with errno.
 */
int guest_resume(struct walls *walls);

/*
 * Keep this descriptor open in the run: the interpreter cannot do without it. The guest must have
 * opened it itself, because it shares what it has from its zygote with other guests. The
 * descriptors of this file are never kept.
 */
void guest_keep_fd(int fd);

/*
 * Wait for the run and put up the walls around it (walls_around_run). Ends the guest with
 * guest_fail if a step fails, and silently if the broker gives up the cell. Carries out an attack
 * of the self-test instead of returning. Returns the descriptor of the job.
 */
int guest_receive_run(void);

/*
 * Map the job, check its head, and write the run's files into the working directory. Returns the
 * code, which is followed by the preload, the arguments, the environment and the needs, in a
 * mapping of *size bytes that starts at the head. Closes `fd`, and the pack of the run. Ends the
 * guest with guest_fail if the job is malformed, and ends the program if its files do not fit on
 * its disk.
 */
const char *guest_map_job(int fd, struct job_header *head, size_t *size);

/* The needs of a job: head->needs strings, each ended by a NUL. */
const char *guest_needs(const struct job_header *head, const char *code);

/*
 * End the run before its program begins, because of a package that it needs: `why` names it. The
 * client reads that in `error`.
 */
void guest_refuse_needs(const char *why) __attribute__((noreturn));

/* The same, if the job has needs: for guests without code that could look for packages. */
void guest_refuse_any_needs(const struct job_header *head);

/* The run's files in the mapping behind the code. */
struct job_files guest_files(const struct job_header *head, const char *code);

/*
 * The path of the file to start, in the mapping behind the code; NULL: the code is to be written to
 * the language's main file.
 */
const char *guest_main_path(const struct job_header *head, const char *code);

/*
 * Write a file of the program into the working directory. Returns true, or false with errno if it
 * does not fit on the disk, whose size the client chose. Another failure ends the guest with
 * guest_fail.
 */
bool guest_write_file(const char *name, const char *text, size_t size);

/* Does errno, of a failed write, say so? */
bool guest_is_disk_full(void);

/* guest_write_file for a preload that is source text: the preload, a line break, and the code. */
bool guest_write_program(const char *name, const struct job_header *head, const char *code);

/*
 * End the program: exit with `status`. Success is announced to the broker first. It answers the run
 * then, before the kernel has freed this process's memory.
 */
void guest_end(int status) __attribute__((noreturn));

/*
 * Close the control socket: the next thing that this process does is to read the program. From then
 * on it holds no channel to the runner. execve(2) does the same.
 */
void guest_close_control(void);

#endif
