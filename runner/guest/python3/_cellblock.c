/*
 * _cellblock.c - a Python zygote, and a guest that runs a program as Python does, from its first
 * line to its end.
 *
 * Runs inside the interpreter, on top of zygote.c and guest.c. It is built against the stable ABI
 * of Python 3.8, so one file serves every later CPython.
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
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "guest/guest.h"
#include "guest/memory.h"
#include "guest/python3/arenas.h"
#include "guest/python3/shelf.h"
#include "guest/python3/threads.h"
#include "guest/zygote.h"
#include "paths.h"
#include "process_title.h"

#define MAIN_PATH_MOST 1025    /* bytes of the main file's path in the working directory, with the NUL */
#define STATUS_INTERRUPTED 256 /* not an exit status: the program dies of SIGINT, as Python does */

/* Not in the stable ABI, but the same in every version. `flags` may be NULL. */
PyObject *PyRun_FileExFlags(FILE *file, const char *name, int start, PyObject *globals, PyObject *locals, int close, void *flags);

static PyObject *driver;  /* driver.py's module */
static PyObject *hook;    /* the interactive hook that ours replaces */
static PyObject *globals; /* of the program's __main__; borrowed from sys.modules */
static PyObject *gc_collect, *gc_get_count;
static PyObject *rehearsal; /* what guests do with modules of the shelf before their run; or NULL */
static PyObject *name_main, *name_threading, *name_atexit;
static Py_ssize_t module_count;                            /* in sys.modules before the program */
static bool generations_are_simple;                        /* gc.get_count() shows which generations were collected */
static void (*leave_recursive_call)(void);                 /* from Python 3.9 on */
static void (*format_unraisable)(const char *format, ...); /* from Python 3.13 on */
static char main_path[sizeof PATH_BOX + MAIN_PATH_MOST];

/* ---- the program of a guest ---------------------------------------------------------------------- */

/*
 * A new list of `count` strings out of `size` bytes, each ended by a NUL. NULL and an error if
 * there are fewer.
 */
static PyObject *
strings_of(const char *bytes, size_t size, uint32_t count)
{
	PyObject *list = PyList_New(0);
	const char *end = bytes + size;

	for (uint32_t i = 0; list != NULL && i < count; i++) {
		const char *nul = memchr(bytes, '\0', (size_t)(end - bytes));
		PyObject *text = nul == NULL ? NULL : PyUnicode_DecodeFSDefaultAndSize(bytes, nul - bytes);

		if (text == NULL || PyList_Append(list, text) != 0) {
			Py_XDECREF(text);
			Py_CLEAR(list);
			if (!PyErr_Occurred())
				PyErr_SetString(PyExc_ValueError, "malformed job");
			break;
		}
		Py_DECREF(text);
		bytes = nul + 1;
	}
	return list;
}

/* Call a function of driver.py. Returns a new reference, or NULL and an error. */
static PyObject *
call_driver(const char *name, PyObject *args)
{
	PyObject *function = PyObject_GetAttrString(driver, name);
	PyObject *result = function == NULL ? NULL : PyObject_CallObject(function, args);

	Py_XDECREF(function);
	return result;
}

/*
 * Prepare a job with a preload, arguments or environment. Returns the compiled preload, or NULL and
 * an error.
 */
static PyObject *
begin(const struct job_header *head, const char *preload)
{
	const char *args_text = preload + head->preload_bytes;
	PyObject *args = strings_of(args_text, head->args_bytes, head->argc);
	PyObject *env = args == NULL ? NULL : strings_of(args_text + head->args_bytes, head->env_bytes, head->envc);
	PyObject *all = env == NULL ? NULL :
	                              Py_BuildValue("(y#OOz)", preload, (Py_ssize_t)head->preload_bytes, args, env,
	                                  guest_main_path(head, preload - head->code_bytes));
	PyObject *code = all == NULL ? NULL : call_driver("begin", all);

	Py_XDECREF(all);
	Py_XDECREF(env);
	Py_XDECREF(args);
	return code;
}

/* Can there be an encoding cookie? It is in one of the first two lines. */
static bool
may_have_cookie(const char *text, size_t size)
{
	const char *line = memchr(text, '\n', size);
	size_t head = line == NULL ? size : (size_t)(line + 1 - text);

	if (line != NULL && (line = memchr(text + head, '\n', size - head)) != NULL)
		head = (size_t)(line - text);
	return memmem(text, head, "coding", 6) != NULL;
}

static bool
has_byte_order_mark(const char *text, size_t size)
{
	return size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0;
}

/*
 * Can Python read this source differently from a file than from memory? That is so with a NUL or a
 * byte order mark. Source with a cookie is always compiled from memory (compile_text).
 */
static bool
is_odd_source(const char *text, size_t size)
{
	return memchr(text, '\0', size) != NULL || (has_byte_order_mark(text, size) && !may_have_cookie(text, size));
}

/*
 * Compile source that may name an encoding of its own. The request was text, and is UTF-8 here
 * whatever the program says of its file. Python does not look for a cookie in a str. Returns a new
 * reference, or NULL and an error.
 */
static PyObject *
compile_text(const char *text, size_t size)
{
	size_t mark = has_byte_order_mark(text, size) ? 3 : 0;
	PyObject *source = PyUnicode_DecodeUTF8(text + mark, (Py_ssize_t)(size - mark), NULL);
	PyObject *compile = source == NULL ? NULL : PyDict_GetItemString(PyEval_GetBuiltins(), "compile");
	PyObject *code = compile == NULL ? NULL : PyObject_CallFunction(compile, "OssiO", source, main_path, "exec", 0, Py_True);

	Py_XDECREF(source);
	return code;
}

/* Compile as the interpreter compiles a file. Returns a new reference, or NULL and an error. */
static PyObject *
compile_program(const char *text, size_t size)
{
	PyObject *source, *code;

	if (may_have_cookie(text, size))
		return compile_text(text, size);
	/* A copy, because the compiler needs a NUL at the end. */
	source = PyBytes_FromStringAndSize(text, (Py_ssize_t)size);
	code = source == NULL ? NULL : Py_CompileString(PyBytes_AsString(source), main_path, Py_file_input);
	Py_XDECREF(source);
	return code;
}

/*
 * End the run if a package that it needs is not installed. Else this may set an error.
 */
static void
look_for_needs(const struct job_header *head, const char *code)
{
	PyObject *needs = strings_of(guest_needs(head, code), head->needs_bytes, head->needs);
	PyObject *args = needs == NULL ? NULL : PyTuple_Pack(1, needs);
	PyObject *why = args == NULL ? NULL : call_driver("missing_need", args);
	PyObject *text = why == NULL || why == Py_None ? NULL : PyUnicode_AsUTF8String(why);

	if (text != NULL)
		guest_refuse_needs(PyBytes_AsString(text));
	Py_XDECREF(why);
	Py_XDECREF(args);
	Py_XDECREF(needs);
}

/*
 * Read the job. steps[0] becomes the preload, or NULL if there is none. steps[1] becomes the
 * program, or NULL if it must run from its file. Also writes the main file, which tracebacks and
 * inspect read. Returns 0, or -1 and an error.
 */
static int
read_job(int fd, PyObject *steps[2])
{
	struct job_header head;
	size_t size;
	const char *code = guest_map_job(fd, &head, &size);
	const char *main_file = guest_main_path(&head, code);
	bool is_written = main_file != NULL || guest_write_file(zygote_setup.main_file, code, head.code_bytes);

	guest_close_control();
	if (main_file != NULL)
		snprintf(main_path, sizeof main_path, "%s/%s", PATH_BOX, main_file);
	if (head.needs > 0)
		look_for_needs(&head, code);
	if (!PyErr_Occurred() && head.preload_bytes + head.argc + head.envc + head.main_bytes > 0)
		steps[0] = begin(&head, code + head.code_bytes);
	if (!PyErr_Occurred() && !(is_written && is_odd_source(code, head.code_bytes)))
		steps[1] = compile_program(code, head.code_bytes);
	munmap((void *)(code - sizeof head), size);
	return PyErr_Occurred() ? -1 : 0;
}

/*
 * Run `code`, or the main file if it is NULL, as an interpreter runs a script. Returns -1 if it ran
 * to its end. Otherwise returns the exit status: SystemExit's, or 1 after sys.excepthook has
 * printed the exception.
 */
static int
run_code(PyObject *code)
{
	PyObject *result = code != NULL ?
	    PyEval_EvalCode(code, globals, globals) :
	    PyRun_FileExFlags(fopen(main_path, "rb"), main_path, Py_file_input, globals, globals, 1, NULL);
	PyObject *type, *value, *trace, *args, *answer;
	int status;

	if (result != NULL) {
		Py_DECREF(result);
		return -1;
	}
	if (PyErr_ExceptionMatches(PyExc_KeyboardInterrupt)) {
		PyErr_Print();
		return STATUS_INTERRUPTED;
	}
	if (!PyErr_ExceptionMatches(PyExc_SystemExit)) {
		PyErr_Print();
		return 1;
	}
	PyErr_Fetch(&type, &value, &trace);
	PyErr_NormalizeException(&type, &value, &trace);
	args = PyTuple_Pack(1, value != NULL ? value : Py_None);
	answer = args == NULL ? NULL : call_driver("exit_status", args);
	status = answer == NULL ? 1 : (int)PyLong_AsLong(answer);
	PyErr_Clear();
	Py_XDECREF(args);
	Py_XDECREF(answer);
	Py_XDECREF(type);
	Py_XDECREF(value);
	Py_XDECREF(trace);
	return status & 0xff;
}

/* ---- the end of a program: the visible part of Py_FinalizeEx ------------------------------------- */

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

static long
python_minor(void)
{
	PyObject *info = PySys_GetObject("version_info");

	return info == NULL ? 0 : PyLong_AsLong(PyStructSequence_GetItem(info, 1));
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

/*
 * last_words(signal, frame): the run's time is up. Write what the streams hold, and end. The
 * interpreter calls this in the main thread, between two steps of the program.
 */
static PyObject *
last_words(PyObject *self, PyObject *unused)
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
		done = call_driver("forget_modules", NULL);
		Py_XDECREF(done);
	}
	PyDict_DelItem(modules, name_main);
	PyErr_Clear();
	done = PyObject_CallFunction(gc_collect, "l", generations_are_simple ? oldest_used_generation() : 2);
	Py_XDECREF(done);
	PyErr_Clear();
}

/* Carry out everything that follows the program's last line. Returns the exit status. */
static int
end_program(int status)
{
	PyObject *modules = PyImport_GetModuleDict();
	int flushed;

	call_if_imported(modules, name_threading, "_shutdown");
	call_if_imported(modules, name_atexit, "_run_exitfuncs");
	flushed = flush_streams();
	finalize_program(modules);
	flush_files();
	return flushed != 0 && status != STATUS_INTERRUPTED ? 120 : status;
}

/*
 * Do, before the run comes, the first things that every run does: compile, print, collect. They
 * write to pages, which are copied now and not while a client waits. A program finds no trace of
 * this.
 */
static void
rehearse(void)
{
	PyObject *scope = PyDict_New();
	PyObject *code = scope == NULL ? NULL : Py_CompileString("print(0)\n", main_path, Py_file_input);
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
	flush_files();
	done = PyObject_CallFunction(gc_collect, "l", 0L);
	Py_XDECREF(done);
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
	if (read_job(job_fd, steps) != 0) {
		PyErr_Print();
		status = 1;
	}
	/*
	 * The interpreter's call of its hook must not count towards the program's recursion limit.
	 */
	if (leave_recursive_call != NULL)
		leave_recursive_call();
	if (status < 0 && steps[0] != NULL)
		status = run_code(steps[0]);
	if (status < 0)
		status = run_code(steps[1]);
	Py_XDECREF(steps[0]);
	Py_XDECREF(steps[1]);
	status = end_program(status < 0 ? 0 : status);
	if (status == STATUS_INTERRUPTED) {
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
	format_unraisable = (void (*)(const char *, ...))dlsym(RTLD_DEFAULT, "PyErr_FormatUnraisable");
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
		imports = strings_of(names, zygote_setup.imports_bytes, zygote_setup.imports);
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

/* Look up the objects that end_program needs. Returns 0, or -1 and an error. */
static int
find_at_end(PyObject *modules, PyObject *gc)
{
	gc_collect = PyObject_GetAttrString(gc, "collect");
	gc_get_count = gc_collect == NULL ? NULL : PyObject_GetAttrString(gc, "get_count");
	name_main = PyUnicode_InternFromString("__main__");
	name_threading = PyUnicode_InternFromString("threading");
	name_atexit = PyUnicode_InternFromString("atexit");
	module_count = PyDict_Size(modules);
	/* From 3.13 on the collector works in increments, and the counts do not show that. */
	generations_are_simple = python_minor() < 13;
	return PyErr_Occurred() ? -1 : 0;
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
	PyObject *modules = PyImport_GetModuleDict(), *main_module, *gc;
	const char *failed;
	char *arenas;
	size_t arenas_size;

	(void)self;
	if (!PyArg_ParseTuple(args, "OOOO", &driver, &main_module, &hook, &gc))
		return NULL;
	Py_INCREF(driver);
	Py_INCREF(hook);
	globals = PyModule_GetDict(main_module);
	if (find_at_end(modules, gc) != 0 || shelf_open() != 0)
		return NULL;
	threads_end();
	snprintf(main_path, sizeof main_path, "%s/%s", PATH_BOX, zygote_setup.main_file);
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
	{ "last_words", last_words, METH_VARARGS, NULL },
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
