/* program_end.c - see program_end.h. Runs in a guest, but for the preparations in its zygote. */
#define _GNU_SOURCE
#include "guest/python3/program_end.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <unistd.h>

#include "guest/python3/program.h"
#include "guest/python3/shelf.h"

static PyObject *driver; /* driver.py's module */
static PyObject *gc_collect, *gc_get_count;
static PyObject *name_main, *name_threading, *name_atexit;
static Py_ssize_t module_count;                            /* in sys.modules before the program */
static bool generations_are_simple;                        /* gc.get_count() shows which generations were collected */
static void (*format_unraisable)(const char *format, ...); /* from Python 3.13 on */

static long
python_minor(void)
{
	PyObject *info = PySys_GetObject("version_info");

	return info == NULL ? 0 : PyLong_AsLong(PyStructSequence_GetItem(info, 1));
}

int
program_end_prepare(PyObject *its_driver, PyObject *gc)
{
	Py_INCREF(its_driver);
	driver = its_driver;
	format_unraisable = (void (*)(const char *, ...))dlsym(RTLD_DEFAULT, "PyErr_FormatUnraisable");
	gc_collect = PyObject_GetAttrString(gc, "collect");
	gc_get_count = gc_collect == NULL ? NULL : PyObject_GetAttrString(gc, "get_count");
	name_main = PyUnicode_InternFromString("__main__");
	name_threading = PyUnicode_InternFromString("threading");
	name_atexit = PyUnicode_InternFromString("atexit");
	module_count = PyDict_Size(PyImport_GetModuleDict());
	/* From 3.13 on the collector works in increments, and the counts do not show that. */
	generations_are_simple = python_minor() < 13;
	return PyErr_Occurred() ? -1 : 0;
}

/* Flush a stream. Returns 0, also if it is closed, or -1 and an error. */
static int
flush(PyObject *stream)
{
	PyObject *done = PyObject_CallMethod(stream, "flush", NULL), *closed;
	PyObject *type, *value, *trace;
	bool is_closed;

	if (done != NULL) {
		Py_DECREF(done);
		return 0;
	}
	PyErr_Fetch(&type, &value, &trace);
	closed = PyObject_GetAttrString(stream, "closed");
	is_closed = closed != NULL && PyObject_IsTrue(closed) == 1;
	Py_XDECREF(closed);
	PyErr_Clear();
	if (!is_closed) {
		PyErr_Restore(type, value, trace);
		return -1;
	}
	Py_XDECREF(type);
	Py_XDECREF(value);
	Py_XDECREF(trace);
	return 0;
}

/*
 * Print an exception at the end of the program, which no code can catch, in the version's words.
 */
static void
print_ignored(PyObject *object, const char *step)
{
	if (format_unraisable != NULL)
		format_unraisable("Exception ignored %s", step);
	else
		PyErr_WriteUnraisable(object);
}

/*
 * Flush sys.stdout and sys.stderr, which the program may have replaced. Returns 0, or -1 if that
 * fails.
 */
static int
flush_streams(void)
{
	PyObject *out = PySys_GetObject("stdout"), *err = PySys_GetObject("stderr");
	int result = 0;

	if (out != NULL && out != Py_None && flush(out) != 0) {
		print_ignored(out, python_minor() < 14 ? "on flushing sys.stdout" : "while flushing sys.stdout");
		result = -1;
	}
	if (err != NULL && err != Py_None && flush(err) != 0) {
		PyErr_Clear();
		result = -1;
	}
	return result;
}

/*
 * Flush, and ignore errors, the streams that an interpreter's own finalization flushes: file
 * objects of its own type.
 */
static void
flush_files(void)
{
	static const char *const names[] = { "__stdout__", "__stderr__", "stdout", "stderr" };
	PyObject *file = PySys_GetObject("__stdout__");
	PyTypeObject *type = file == NULL ? NULL : Py_TYPE(file);

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		file = PySys_GetObject(names[i]);
		if (file != NULL && Py_TYPE(file) == type && flush(file) != 0)
			PyErr_Clear();
	}
}

void
program_end_rehearse(void)
{
	PyObject *done;

	flush_files();
	done = PyObject_CallFunction(gc_collect, "l", 0L);
	Py_XDECREF(done);
}

PyObject *
program_end_last_words(PyObject *self, PyObject *unused)
{
	(void)self;
	(void)unused;
	flush_files();
	_exit(1);
}

/* Call a function of a module, if the module has been imported. */
static void
call_if_imported(PyObject *modules, PyObject *name, const char *function)
{
	PyObject *module = PyDict_GetItem(modules, name);
	PyObject *done = module == NULL ? NULL : PyObject_CallMethod(module, function, NULL);

	/* atexit has printed what its functions raised. Up to 3.9 it raises the last one, too. */
	if (name == name_atexit)
		PyErr_Clear();
	else if (done == NULL && PyErr_Occurred())
		print_ignored(module, "on threading shutdown");
	Py_XDECREF(done);
}

/*
 * The oldest generation of the garbage collector that can hold an object of the program. Older
 * objects are those that the zygote froze. A full collection would write to, and so copy, the pages
 * of every type.
 */
static long
oldest_used_generation(void)
{
	PyObject *counts = PyObject_CallObject(gc_get_count, NULL);
	long generation = 2;

	if (counts != NULL && PyTuple_Size(counts) == 3) {
		while (generation > 0 && PyLong_AsLong(PyTuple_GetItem(counts, generation)) == 0)
			generation--;
	}
	Py_XDECREF(counts);
	PyErr_Clear();
	return generation;
}

/* Drop the program's modules and collect their cycles: finalizers may still print something. */
static void
finalize_program(PyObject *modules)
{
	PyObject *done;

	if (PyDict_Size(modules) != module_count + shelf_out()) {
		done = PyObject_CallMethod(driver, "forget_modules", NULL);
		Py_XDECREF(done);
	}
	PyDict_DelItem(modules, name_main);
	PyErr_Clear();
	done = PyObject_CallFunction(gc_collect, "l", generations_are_simple ? oldest_used_generation() : 2);
	Py_XDECREF(done);
	PyErr_Clear();
}

int
program_end(int status)
{
	PyObject *modules = PyImport_GetModuleDict();
	int flushed;

	call_if_imported(modules, name_threading, "_shutdown");
	call_if_imported(modules, name_atexit, "_run_exitfuncs");
	flushed = flush_streams();
	finalize_program(modules);
	flush_files();
	return flushed != 0 && status != PROGRAM_INTERRUPTED ? 120 : status;
}
