/* program.c - see program.h. Runs in a guest, but for the preparations in its zygote. */
#define _GNU_SOURCE
#include "guest/python3/program.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "guest/guest.h"
#include "guest/zygote.h"
#include "paths.h"

#define MAIN_PATH_MOST 1025 /* bytes of the main file's path in the working directory, with the NUL */

/* Not in the stable ABI, but the same in every version. `flags` may be NULL. */
PyObject *PyRun_FileExFlags(FILE *file, const char *name, int start, PyObject *globals, PyObject *locals, int close, void *flags);

static PyObject *driver;  /* driver.py's module */
static PyObject *globals; /* of the program's __main__; borrowed from sys.modules */
static char main_path[sizeof PATH_BOX + MAIN_PATH_MOST];

void
program_prepare(PyObject *its_driver, PyObject *main_module)
{
	Py_INCREF(its_driver);
	driver = its_driver;
	globals = PyModule_GetDict(main_module);
	snprintf(main_path, sizeof main_path, "%s/%s", PATH_BOX, zygote_setup.main_file);
}

const char *
program_path(void)
{
	return main_path;
}

PyObject *
program_strings(const char *bytes, size_t size, uint32_t count)
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
	PyObject *args = program_strings(args_text, head->args_bytes, head->argc);
	PyObject *env = args == NULL ? NULL : program_strings(args_text + head->args_bytes, head->env_bytes, head->envc);
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
	PyObject *needs = program_strings(guest_needs(head, code), head->needs_bytes, head->needs);
	PyObject *args = needs == NULL ? NULL : PyTuple_Pack(1, needs);
	PyObject *why = args == NULL ? NULL : call_driver("missing_need", args);
	PyObject *text = why == NULL || why == Py_None ? NULL : PyUnicode_AsUTF8String(why);

	if (text != NULL)
		guest_refuse_needs(PyBytes_AsString(text));
	Py_XDECREF(why);
	Py_XDECREF(args);
	Py_XDECREF(needs);
}

int
program_read(int fd, PyObject *steps[2])
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

int
program_run(PyObject *code)
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
		return PROGRAM_INTERRUPTED;
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
