/*
 * program.h - the program of a Python guest: it is read from the job, compiled, and run.
 *
 * Tracebacks, exit statuses and messages are those of an interpreter that runs a script.
 * program_end.h does everything after the last line.
 */
#ifndef CELLBLOCK_PROGRAM_H
#define CELLBLOCK_PROGRAM_H

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x03080000
#include <Python.h>
#include <stddef.h>
#include <stdint.h>

#define PROGRAM_INTERRUPTED 256 /* not an exit status: the program dies of SIGINT, as Python does */

/*
 * In a zygote, before it serves: `driver` is driver.py's module, `main_module` the program's
 * __main__. Keeps a reference to the driver, and borrows the other module from sys.modules. Never
 * fails.
 */
void program_prepare(PyObject *driver, PyObject *main_module);

/*
 * After program_prepare: the path of the program's main file, which is static. Only program_read
 * may change it.
 */
const char *program_path(void);

/*
 * A new list of `count` strings out of `size` bytes, each ended by a NUL. NULL and an error if
 * there are fewer.
 */
PyObject *program_strings(const char *bytes, size_t size, uint32_t count);

/*
 * Read the job, and close its descriptor `fd` and the control socket. `steps` holds NULL twice, and
 * gets new references. steps[0] becomes the preload, if there is one. steps[1] becomes the program,
 * unless it must run from its file. Also writes the main file, which tracebacks and inspect read.
 * Returns 0, or -1 and an error; `steps` may hold a reference then, too. Ends the guest if the job
 * is malformed, if its files do not fit on the disk, or if a package that it needs is missing.
 */
int program_read(int fd, PyObject *steps[2]);

/*
 * Run `code`, or the main file if it is NULL, as an interpreter runs a script. Returns -1 if it ran
 * to its end. Otherwise returns the exit status, 0 to 255: SystemExit's, or 1 after sys.excepthook
 * has printed the exception. PROGRAM_INTERRUPTED: that was KeyboardInterrupt.
 */
int program_run(PyObject *code);

#endif
