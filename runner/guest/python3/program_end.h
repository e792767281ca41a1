/*
 * program_end.h - the end of a Python program: the visible part of Py_FinalizeEx.
 *
 * Everything that a program can see after its last line is carried out: its threads, its exit
 * functions, its streams, and the finalizers of its own objects. The interpreter itself is not
 * finalized.
 */
#ifndef CELLBLOCK_PROGRAM_END_H
#define CELLBLOCK_PROGRAM_END_H

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x03080000
#include <Python.h>

/*
 * In a zygote, before it serves: look up the objects that program_end needs. `driver` is the module
 * of driver.py, `gc` that of the garbage collector. sys.modules is now what a program finds. Keeps
 * a reference to the driver. Returns 0, or -1 and an error.
 */
int program_end_prepare(PyObject *driver, PyObject *gc);

/* In a guest, before its run comes: flush, and collect the youngest objects. May set an error. */
void program_end_rehearse(void);

/*
 * last_words(signal, frame): the run's time is up. Write what the streams hold, and end. The
 * interpreter calls this in the main thread, between two steps of the program.
 */
PyObject *program_end_last_words(PyObject *self, PyObject *args);

/*
 * Carry out everything that follows the program's last line. `status` is its exit status so far, or
 * PROGRAM_INTERRUPTED. Returns it, or 120 instead of a status if the streams could not be flushed.
 * Errors are printed or ignored, as Python does.
 */
int program_end(int status);

#endif
