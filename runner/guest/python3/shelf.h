/*
 * shelf.h - modules that the zygote has imported already, and that a program finds as if it had
 * imported them itself.
 *
 * shelf.py imports the modules, records what each of them imports, and takes them out of
 * sys.modules. In a guest, an import of a module that is not in sys.modules comes to
 * _find_and_load of importlib, in every version. A function of this file stands in its place: it
 * puts the module back, together with all that a cold import would have brought, in the same order.
 * Wherever a cold import could end differently, it calls the original instead.
 */
#ifndef CELLBLOCK_SHELF_H
#define CELLBLOCK_SHELF_H

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x03080000
#include <Python.h>
#include <stdbool.h>
#include <stdint.h>

#include "messages.h"

/*
 * shelve(books, bytes): the shelf has these modules, which are out of sys.modules. A book is a
 * tuple; shelf.py explains its fields. `bytes` is the memory of an interpreter
 * without any, or 0. Python calls it, once.
 */
PyObject *shelf_fill(PyObject *self, PyObject *args);

/*
 * sys.path and the import machinery are now what a program finds. A program that changes them gets
 * cold imports. Returns 0, or -1 and an error.
 */
int shelf_open(void);

/*
 * keep_finders(): a module of the shelf has added a finder, which does not look for modules of the
 * shelf. Imports go on coming from the shelf.
 */
PyObject *shelf_keep_finders(PyObject *self, PyObject *unused);

/* The modules that are in sys.modules now go back to the shelf. Their effects stay. */
PyObject *shelf_take_back(PyObject *self, PyObject *unused);

/*
 * weigh() -> bytes: the resident set. It is exact where it has not shrunk since the first call.
 * shelf_fill ends the weighing.
 */
PyObject *shelf_weigh(PyObject *self, PyObject *unused);

/*
 * weigh_trial(program) -> bytes: the memory of a new interpreter that imports nothing, or 0. The
 * figure is that of this process, if it is larger: so this comes before all imports.
 */
PyObject *shelf_weigh_trial(PyObject *self, PyObject *program);

/*
 * A program begins. From now on imports from the shelf are counted in `memory`, as what they would
 * take after a cold start. NULL: they are not counted.
 */
void shelf_count_memory(struct guest_memory *memory);

/*
 * A guest begins, or ends, to rehearse its run. Meanwhile imports have no effects. At the end all
 * modules are on the shelf again. Returns 0, or -1 and an error.
 */
int shelf_rehearse(bool begins);

/* The number of modules that were put into sys.modules. */
Py_ssize_t shelf_out(void);

/* Is the module with this name on the shelf, or was it? Never fails. */
bool shelf_has(PyObject *name);

#endif
