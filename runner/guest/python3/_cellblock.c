/*
 * _cellblock.c - the extension module of a Python zygote: the zygote's start, and each guest from
 * its fork to its exit.
 *
 * Runs inside the interpreter, on top of zygote.c and guest.c. program.c runs the guest's program
 * as Python does, and program_end.c ends it. All are built against the stable ABI of Python 3.8, so
 * one extension serves every later CPython.
 *
 * driver.py holds the parts that are shorter in Python. The interpreter itself calls serve(), as
 * its interactive hook. So no Python frame lies below the user's code: stacks and tracebacks are
 * those of a fresh interpreter.
 */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x03080000
#define _GNU_SOURCE
#include <Python.h>

#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "guest/guest.h"
#include "guest/memory.h"
#include "guest/python3/arenas.h"
#include "guest/python3/program.h"
#include "guest/python3/program_end.h"
#include "guest/python3/shelf.h"
#include "guest/python3/threads.h"
#include "guest/zygote.h"
#include "process_title.h"

static PyObject *hook;                     /* the interactive hook that ours replaces */
static PyObject *rehearsal;                /* what guests do with modules of the shelf before their run; or NULL */
static void (*leave_recursive_call)(void); /* from Python 3.9 on */

/* ---- a guest ------------------------------------------------------------------------------------- */

/*
 * Do, before the run comes, the first things that every run does: compile, print, collect. They
 * write to pages, which are copied now and not while a client waits. A program finds no trace of
 * this.
 */
static void
rehearse(void)
{
	PyObject *scope = PyDict_New();
	PyObject *code = scope == NULL ? NULL : Py_CompileString("print(0)\n", program_path(), Py_file_input);
	PyObject *done = NULL;

	if (rehearsal != NULL && shelf_rehearse(true) == 0) {
		Py_XDECREF(PyObject_CallObject(rehearsal, NULL));
		if (PyErr_Occurred() || shelf_rehearse(false) != 0)
			guest_fail("rehearse a run with modules of the shelf");
	}
	if (code != NULL && PyDict_SetItemString(scope, "__builtins__", PyEval_GetBuiltins()) == 0)
		done = PyEval_EvalCode(code, scope, scope);
	Py_XDECREF(done);
	Py_XDECREF(code);
	Py_XDECREF(scope);
	program_end_rehearse();
	if (PyErr_Occurred())
		guest_fail("rehearse a run");
}

/* In a guest: from its fork to the end of its program. Never returns. */
static void
run_guest(void)
{
	PyObject *steps[2] = { NULL, NULL }; /* preload and program */
	struct guest_memory *memory = zygote_setup.imports > 0 ? guest_share_memory() : NULL;
	int status = -1, job_fd;

	if (guest_rehearses)
		rehearse();
	guest_report_ready();
	job_fd = guest_receive_run();
	shelf_count_memory(memory);
	/* A syntax error is printed like any other exception. */
	if (program_read(job_fd, steps) != 0) {
		PyErr_Print();
		status = 1;
	}
	/*
	 * The interpreter's call of its hook must not count towards the program's recursion limit.
	 */
	if (leave_recursive_call != NULL)
		leave_recursive_call();
	if (status < 0 && steps[0] != NULL)
		status = program_run(steps[0]);
	if (status < 0)
		status = program_run(steps[1]);
	Py_XDECREF(steps[0]);
	Py_XDECREF(steps[1]);
	status = program_end(status < 0 ? 0 : status);
	if (status == PROGRAM_INTERRUPTED) {
		signal(SIGINT, SIG_DFL);
		raise(SIGINT);
	}
	guest_end(status & 0xff);
}

/* ---- the start of the zygote --------------------------------------------------------------------- */

/* serve(): the interactive hook. Never returns. */
static PyObject *
serve(PyObject *self, PyObject *unused)
{
	(void)self;
	(void)unused;
	/* The program finds the hook of a fresh interpreter. */
	PySys_SetObject("__interactivehook__", hook == Py_None ? NULL : hook);
	leave_recursive_call = (void (*)(void))dlsym(RTLD_DEFAULT, "Py_LeaveRecursiveCall");
	arenas_fill();
	memory_fill_heap();
	if (zygote_setup.huge_pages != 0)
		memory_use_huge_pages();
	PyOS_BeforeFork();
	zygote_make_guests();
	PyOS_AfterFork_Child();
	run_guest();
	return NULL; /* not reached */
}

/*
 * load_setup() -> (main_file, [module, ...]): read the setup that the runner wrote for this zygote.
 */
static PyObject *
load_setup(PyObject *self, PyObject *unused)
{
	PyObject *imports = NULL;
	char *names;

	(void)self;
	(void)unused;
	if (zygote_begin(&names) == 0) {
		process_title_stand_in(zygote_setup.main_file);
		imports = program_strings(names, zygote_setup.imports_bytes, zygote_setup.imports);
	}
	if (zygote_setup.imports > 0)
		arenas_begin();
	if (imports == NULL)
		return PyErr_Format(PyExc_ValueError, "malformed zygote setup");
	return Py_BuildValue("(sN)", zygote_setup.main_file, imports);
}

/* send_report(error, version, text): report to the broker whether the zygote serves. */
static PyObject *
send_report(PyObject *self, PyObject *args)
{
	const char *version, *text;
	int error;

	(void)self;
	if (!PyArg_ParseTuple(args, "iss", &error, &version, &text))
		return NULL;
	zygote_report(error, version, text);
	Py_RETURN_NONE;
}

/* warn(text): write a line to the log. */
static PyObject *
warn(PyObject *self, PyObject *args)
{
	const char *text;

	(void)self;
	if (!PyArg_ParseTuple(args, "s", &text))
		return NULL;
	zygote_warn(STDERR_FILENO, text);
	Py_RETURN_NONE;
}

/* set_zone(): have libc look at the variable TZ again. */
static PyObject *
set_zone(PyObject *self, PyObject *unused)
{
	(void)self;
	(void)unused;
	tzset();
	Py_RETURN_NONE;
}

/*
 * plain_flags(flags, values): a sys.flags with other values in its sequence. Fields that are not of
 * the sequence (from Python 3.14 on) stay. Python code cannot construct one.
 */
static PyObject *
plain_flags(PyObject *self, PyObject *args)
{
	PyObject *flags, *values, *count, *fresh;
	Py_ssize_t fields;

	(void)self;
	if (!PyArg_ParseTuple(args, "OO", &flags, &values))
		return NULL;
	count = PyObject_GetAttrString((PyObject *)Py_TYPE(flags), "n_fields");
	fields = count == NULL ? -1 : PyLong_AsSsize_t(count);
	Py_XDECREF(count);
	if (fields < 0)
		return NULL;
	fresh = PyStructSequence_New(Py_TYPE(flags));
	for (Py_ssize_t i = 0; fresh != NULL && i < fields; i++) {
		PyObject *value = i < PyList_Size(values) ? PyList_GetItem(values, i) : PyStructSequence_GetItem(flags, i);

		Py_INCREF(value);
		PyStructSequence_SetItem(fresh, i, value);
	}
	return fresh;
}

/* rehearse_in_guests(function): each guest calls it before its run comes. */
static PyObject *
rehearse_in_guests(PyObject *self, PyObject *function)
{
	(void)self;
	Py_INCREF(function);
	Py_XDECREF(rehearsal);
	rehearsal = function;
	Py_RETURN_NONE;
}

/* is_shelved(name): is it a module of the shelf? */
static PyObject *
is_shelved(PyObject *self, PyObject *name)
{
	(void)self;
	return PyBool_FromLong(shelf_has(name));
}

/* wall_in(driver, main, hook, gc): put up the zygote's walls, the last step before it serves. */
static PyObject *
wall_in(PyObject *self, PyObject *args)
{
	PyObject *driver, *main_module, *gc;
	const char *failed;
	char *arenas;
	size_t arenas_size;

	(void)self;
	if (!PyArg_ParseTuple(args, "OOOO", &driver, &main_module, &hook, &gc))
		return NULL;
	Py_INCREF(hook);
	program_prepare(driver, main_module);
	if (program_end_prepare(driver, gc) != 0 || shelf_open() != 0)
		return NULL;
	threads_end();
	/*
	 * A guest that looks up an attribute would write to the name of the one which had its
	 * place in this cache: to a page of its own for each.
	 */
	if (zygote_setup.imports > 0)
		PyType_ClearCache();
	arenas = arenas_end(&arenas_size);
	arenas_fill();
	memory_fill_heap();
	if (arenas != NULL)
		memory_map_file(arenas, arenas_size);
	memory_pack_data();
	zygote_walls.data_bytes = memory_data_bytes();
	failed = zygote_wall_in(false);
	if (failed != NULL)
		return errno == EBUSY ? PyErr_Format(PyExc_RuntimeError, "an imported module has started a thread") :
		                        PyErr_Format(PyExc_OSError, "%s: %s", failed, strerror(errno));
	Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
	{ "is_shelved", is_shelved, METH_O, NULL },
	{ "keep_finders", shelf_keep_finders, METH_NOARGS, NULL },
	{ "last_words", program_end_last_words, METH_VARARGS, NULL },
	{ "load_setup", load_setup, METH_NOARGS, NULL },
	{ "plain_flags", plain_flags, METH_VARARGS, NULL },
	{ "rehearse_in_guests", rehearse_in_guests, METH_O, NULL },
	{ "send_report", send_report, METH_VARARGS, NULL },
	{ "set_zone", set_zone, METH_NOARGS, NULL },
	{ "shelve", shelf_fill, METH_VARARGS, NULL },
	{ "take_back", shelf_take_back, METH_NOARGS, NULL },
	{ "weigh", shelf_weigh, METH_NOARGS, NULL },
	{ "weigh_trial", shelf_weigh_trial, METH_O, NULL },
	{ "wall_in", wall_in, METH_VARARGS, NULL },
	{ "warn", warn, METH_VARARGS, NULL },
	{ "serve", serve, METH_VARARGS, NULL },
	{ NULL, NULL, 0, NULL },
};

static struct PyModuleDef module = { PyModuleDef_HEAD_INIT, "_cellblock", NULL, -1, methods, NULL, NULL, NULL, NULL };

PyMODINIT_FUNC PyInit__cellblock(void);

PyMODINIT_FUNC
PyInit__cellblock(void)
{
	PyObject *made = PyModule_Create(&module);

	if (made != NULL && PyModule_AddIntConstant(made, "LAST_WORDS", GUEST_LAST_WORDS) != 0)
		Py_CLEAR(made);
	return made;
}
