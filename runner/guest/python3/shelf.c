/* shelf.c - see shelf.h. Runs in a zygote until it serves, and in each guest. */
#define _GNU_SOURCE
#include "guest/python3/shelf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "paths.h"

#define NONE UINT32_MAX
#define NAME_BYTES 256 /* a longer file name is no module's that is on the shelf */

/* A module. What is read for each import lies side by side. */
struct book {
	PyObject *name;
	PyObject *module;
	PyObject *child;       /* the name of the attribute of its package; NULL: none is set */
	PyObject *package;     /* the dictionary of its package */
	PyObject *prior;       /* the attribute's value before the import; NULL: none */
	PyObject *effects;     /* functions to call when it is put back; NULL: none */
	PyObject *variables;   /* (name, value) of the environment, which it reads at its import; NULL: none */
	PyObject *absent;      /* files for which it looks at its import, and which are not there; NULL: none */
	const uint32_t *needs; /* the modules that it imports, in order */
	uint32_t need_count;
	uint32_t parent;   /* its package, or NONE */
	uint32_t visit;    /* the last plan that has seen it */
	uint32_t shadowed; /* the last plan for which a file in front of the library had its name */
	int64_t bytes;     /* by which its import makes the resident set larger, without the imports within */
	bool is_base;      /* every interpreter has it: it is never put back */
	bool is_on_path;   /* it is found by sys.path */
	bool is_out;       /* it is in sys.modules, or has been */
};

static struct book *books;
static size_t book_count;
static uint32_t *plan; /* what to put back: importlib orders sys.modules by the ends of the imports */
static size_t plan_count;
static uint32_t visit;
static Py_ssize_t out_count;
static PyObject *places; /* name of a module -> its number */
static bool is_open;     /* the state below is recorded, and effects happen */
static void *ballast;    /* while the memory of imports is weighed; or NULL */
static size_t ballast_bytes;
static uint64_t cold_bytes;        /* the resident set of an interpreter that has imported nothing */
static struct guest_memory *tally; /* of a program; or NULL */
static bool is_counting;           /* an import is under way whose memory is counted */

/* The import machinery of a fresh interpreter. */
static PyObject *original;        /* _find_and_load */
static PyObject *import_function; /* builtins.__import__ */
static PyObject *finders, *hooks; /* copies of sys.meta_path and sys.path_hooks */
static PyObject *library;         /* a copy of sys.path, without its first entry */
static PyObject *gettrace, *getprofile;

/* ---- does the import machinery do what it did in the zygote? ------------------------------------- */

/* Are the elements of `list`, from `from` on, those of `known`? */
static bool
has_elements(PyObject *list, Py_ssize_t from, PyObject *known)
{
	Py_ssize_t count = PyList_Size(known);

	for (Py_ssize_t i = 0; i < count; i++) {
		if (PyList_GetItem(list, from + i) != PyList_GetItem(known, i))
			return false;
	}
	return true;
}

static bool
is_list_of(PyObject *list, PyObject *known)
{
	return list != NULL && PyList_CheckExact(list) && PyList_Size(list) == PyList_Size(known) && has_elements(list, 0, known);
}

/* Does `function` return None? */
static bool
gives_none(PyObject *function)
{
	PyObject *result = PyObject_CallObject(function, NULL);

	if (result == NULL)
		PyErr_Clear();
	else
		Py_DECREF(result);
	return result == Py_None;
}

/*
 * Hooks and finders of the program want to see every import, and a tracer every line of the modules
 * that are executed.
 */
static bool
is_machinery_fresh(void)
{
	return PySys_GetObject("modules") == PyImport_GetModuleDict() && is_list_of(PySys_GetObject("meta_path"), finders) &&
	    is_list_of(PySys_GetObject("path_hooks"), hooks) &&
	    PyDict_GetItemString(PyEval_GetBuiltins(), "__import__") == import_function && gives_none(gettrace) &&
	    gives_none(getprofile);
}

/* ---- does sys.path have something in front of the library? --------------------------------------- */

/* An entry of a directory, as getdents64(2) returns it. */
struct entry {
	uint64_t inode;
	int64_t offset;
	unsigned short size;
	unsigned char type;
	char name[];
};

/*
 * A file of this name, in front of the library: a module of the same name is not to be taken from
 * the shelf. A directory counts, too, as it may be a package. A name with another suffix than a
 * module's does not.
 */
static bool
note_file(const char *name)
{
	const char *dot = strchr(name, '.'), *suffix = strrchr(name, '.');
	size_t length = dot == NULL ? strlen(name) : (size_t)(dot - name);
	PyObject *stem, *place;

	if (length == 0 || length >= NAME_BYTES ||
	    (suffix != NULL && strcmp(suffix, ".py") != 0 && strcmp(suffix, ".pyc") != 0 && strcmp(suffix, ".so") != 0))
		return true;
	stem = PyUnicode_DecodeFSDefaultAndSize(name, (Py_ssize_t)length);
	if (stem == NULL)
		return false;
	place = PyDict_GetItemWithError(places, stem);
	Py_DECREF(stem);
	if (place != NULL)
		books[PyLong_AsUnsignedLong(place)].shadowed = visit;
	return !PyErr_Occurred();
}

/* Note the files of an open directory. Returns false if it cannot be read. */
static bool
note_files(int fd)
{
	_Alignas(struct entry) char buffer[2048];
	long size;

	while ((size = syscall(SYS_getdents64, fd, buffer, sizeof buffer)) > 0) {
		for (long at = 0; at < size;) {
			const struct entry *entry = (const struct entry *)(buffer + at);

			if (!note_file(entry->name))
				return false;
			at += entry->size;
		}
	}
	return size == 0;
}

/*
 * Note the modules that the directory `path` has. Returns false if that cannot be said: it is an
 * archive, for example.
 */
static bool
note_directory(PyObject *path)
{
	PyObject *bytes = PyUnicode_Check(path) ? PyUnicode_EncodeFSDefault(path) : NULL;
	const char *name = bytes == NULL ? NULL : PyBytes_AsString(bytes);
	int fd = name == NULL ? -1 : open(name[0] == '\0' ? "." : name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool good = name != NULL && (fd >= 0 ? note_files(fd) : errno == ENOENT);

	if (fd >= 0)
		close(fd);
	Py_XDECREF(bytes);
	return good;
}

/*
 * A program may put directories in front of the library in sys.path, and behind it. Note the
 * modules of those in front of it. Returns false if the library has changed.
 */
static bool
note_path(void)
{
	PyObject *path = PySys_GetObject("path");
	Py_ssize_t size = path != NULL && PyList_CheckExact(path) ? PyList_Size(path) : 0, of_library = PyList_Size(library),
	           first = 0;

	if (of_library == 0)
		return false;
	while (first + of_library <= size && PyList_GetItem(path, first) != PyList_GetItem(library, 0))
		first++;
	if (first + of_library > size || !has_elements(path, first, library))
		return false;
	for (Py_ssize_t i = 0; i < first; i++) {
		if (!note_directory(PyList_GetItem(path, i)))
			return false;
	}
	return true;
}

/* ---- what does an import bring? ------------------------------------------------------------------ */

/*
 * Has a variable of the environment that the module reads at its import another value than it had
 * in the zygote? os.environ hands all changes on to libc.
 */
static bool
reads_changed_variable(const struct book *book)
{
	for (Py_ssize_t i = 0; book->variables != NULL && i < PyTuple_Size(book->variables); i++) {
		PyObject *pair = PyTuple_GetItem(book->variables, i), *before = PyTuple_GetItem(pair, 1);
		const char *now = getenv(PyBytes_AsString(PyTuple_GetItem(pair, 0)));

		if (before == Py_None ? now != NULL : now == NULL || strcmp(now, PyBytes_AsString(before)) != 0)
			return true;
	}
	return false;
}

/* Is a file there that the module would have read, or not have made, at its import? */
static bool
finds_file(const struct book *book)
{
	for (Py_ssize_t i = 0; book->absent != NULL && i < PyTuple_Size(book->absent); i++) {
		if (access(PyBytes_AsString(PyTuple_GetItem(book->absent, i)), F_OK) == 0)
			return true;
	}
	return false;
}

/*
 * Plan to put back module `at` and what it imports. Returns false if a cold import would end
 * differently, because another module has the name of one of them.
 */
static bool
plan_module(uint32_t at, PyObject *modules)
{
	struct book *book = &books[at];
	PyObject *there;

	if (book->visit == visit)
		return true;
	/* The package comes first, and may bring this module itself. */
	if (book->parent != NONE && !plan_module(book->parent, modules))
		return false;
	if (book->visit == visit)
		return true;
	book->visit = visit;
	there = PyDict_GetItemWithError(modules, book->name);
	if (there != NULL)
		return there == book->module && book->is_out;
	/* A module that the program has removed is executed again. */
	if (book->is_out || (book->is_on_path && book->shadowed == visit) || reads_changed_variable(book) || finds_file(book))
		return false;
	for (uint32_t i = 0; i < book->need_count; i++) {
		if (!plan_module(book->needs[i], modules))
			return false;
	}
	plan[plan_count++] = at;
	return true;
}

/* ---- how much memory would it take? -------------------------------------------------------------- */

/* The largest resident set that this process ever had, in bytes. */
static uint64_t
most_resident_bytes(void)
{
	struct rusage usage;

	return getrusage(RUSAGE_SELF, &usage) != 0 ? 0 : (uint64_t)usage.ru_maxrss * 1024u;
}

PyObject *
shelf_weigh(PyObject *self, PyObject *unused)
{
	(void)self;
	(void)unused;
	if (ballast == NULL) {
		/* The figure is that of before execve(2), unless the resident set is larger. */
		ballast_bytes = most_resident_bytes();
		ballast = mmap(NULL, ballast_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
		if (ballast == MAP_FAILED) {
			ballast = NULL;
			return PyErr_NoMemory();
		}
	}
	return PyLong_FromUnsignedLongLong(most_resident_bytes() - ballast_bytes);
}

PyObject *
shelf_weigh_trial(PyObject *self, PyObject *program)
{
	PyObject *path = PyUnicode_EncodeFSDefault(program);
	const char *text = path == NULL ? NULL : PyBytes_AsString(path);
	struct rusage usage;
	int status = -1;
	pid_t pid;

	(void)self;
	if (text == NULL)
		return NULL;
	pid = fork();
	if (pid == 0) {
		execl(text, text, "-c", "pass", (char *)NULL);
		_exit(1);
	}
	while (pid > 0 && wait4(pid, &status, 0, &usage) < 0 && errno == EINTR)
		continue;
	Py_DECREF(path);
	return PyLong_FromUnsignedLongLong(status == 0 ? (unsigned long long)usage.ru_maxrss * 1024u : 0);
}

static void
drop_ballast(void)
{
	if (ballast != NULL)
		munmap(ballast, ballast_bytes);
	ballast = NULL;
}

void
shelf_count_memory(struct guest_memory *memory)
{
	tally = memory;
	if (tally != NULL)
		*tally = (struct guest_memory){ .cold_bytes = cold_bytes, .inherited_bytes = most_resident_bytes() };
}

/* ---- putting back -------------------------------------------------------------------------------- */

/* Call all functions of a list of tuples. Returns 0, or -1 and an error. */
static int
call_all(PyObject *list)
{
	for (Py_ssize_t i = 0; i < PyList_Size(list); i++) {
		PyObject *effects = PyList_GetItem(list, i);

		for (Py_ssize_t e = 0; e < PyTuple_Size(effects); e++) {
			PyObject *done = PyObject_CallObject(PyTuple_GetItem(effects, e), NULL);

			if (done == NULL)
				return -1;
			Py_DECREF(done);
		}
	}
	return 0;
}

/* Do what is planned. Returns 0, or -1 and an error. */
static int
carry_out(PyObject *modules)
{
	PyObject *effects = NULL;
	int result = 0;

	for (size_t i = 0; i < plan_count; i++) {
		struct book *book = &books[plan[i]];

		if (PyDict_SetItem(modules, book->name, book->module) != 0)
			return -1;
		book->is_out = true;
		out_count++;
		if (tally != NULL)
			tally->cold_bytes += (uint64_t)book->bytes;
		if (book->child != NULL && PyDict_SetItem(book->package, book->child, book->module) != 0)
			return -1;
	}
	/* An effect may import something, and so make another plan. */
	for (size_t i = 0; is_open && i < plan_count; i++) {
		if (books[plan[i]].effects == NULL)
			continue;
		if (effects == NULL && (effects = PyList_New(0)) == NULL)
			return -1;
		if (PyList_Append(effects, books[plan[i]].effects) != 0)
			return -1;
	}
	if (effects != NULL)
		result = call_all(effects);
	Py_XDECREF(effects);
	return result;
}

/* The same, and count the memory. An import by an effect is a part of this one. */
static int
carry_out_counted(PyObject *modules)
{
	uint64_t before;
	int result;

	if (tally == NULL || is_counting)
		return carry_out(modules);
	is_counting = true;
	before = most_resident_bytes();
	result = carry_out(modules);
	tally->inherited_bytes += most_resident_bytes() - before;
	is_counting = false;
	return result;
}

/*
 * The module of this name, from the shelf. Returns a new reference. NULL, perhaps with an error, if
 * it has to be imported.
 */
static PyObject *
take(PyObject *name)
{
	PyObject *modules = PyImport_GetModuleDict(), *place = PyDict_GetItemWithError(places, name);
	struct book *book;

	if (place == NULL)
		return NULL;
	book = &books[PyLong_AsUnsignedLong(place)];
	if (book->is_out)
		return NULL;
	visit++;
	plan_count = 0;
	if (is_open && !(is_machinery_fresh() && note_path()))
		return NULL;
	if (!plan_module((uint32_t)(book - books), modules) || carry_out_counted(modules) != 0)
		return NULL;
	Py_INCREF(book->module);
	return book->module;
}

/* _find_and_load(name, import_) of importlib: called for a module that is not in sys.modules. */
static PyObject *
find_and_load(PyObject *self, PyObject *args)
{
	PyObject *module;

	(void)self;
	module = PyTuple_Size(args) > 0 ? take(PyTuple_GetItem(args, 0)) : NULL;
	if (module != NULL || PyErr_Occurred())
		return module;
	return PyObject_CallObject(original, args);
}

/* ---- the start ----------------------------------------------------------------------------------- */

/* A field that may be None. Returns a new reference, or NULL. */
static PyObject *
optional(PyObject *object)
{
	if (object == Py_None)
		return NULL;
	Py_INCREF(object);
	return object;
}

/*
 * Read a book, of which the place is `at`, and write its needs to *needs. Returns 0, or -1 and an
 * error.
 */
static int
read_book(PyObject *from, uint32_t at, uint32_t **needs)
{
	struct book *book = &books[at];
	PyObject *name, *of_module, *parent, *child, *prior, *list, *effects, *variables, *absent, *place;
	long long bytes;
	int is_base, is_on_path;

	if (!PyArg_ParseTuple(from, "OOOOOO!OOOppL", &name, &of_module, &parent, &child, &prior, &PyTuple_Type, &list, &effects,
	        &variables, &absent, &is_base, &is_on_path, &bytes))
		return -1;
	Py_INCREF(name);
	Py_INCREF(of_module);
	*book = (struct book){ .name = name,
		.module = of_module,
		.child = optional(child),
		.prior = PyTuple_Size(prior) > 0 ? optional(PyTuple_GetItem(prior, 0)) : NULL,
		.effects = optional(effects),
		.variables = optional(variables),
		.absent = optional(absent),
		.bytes = bytes,
		.needs = *needs,
		.parent = parent == Py_None ? NONE : (uint32_t)PyLong_AsUnsignedLong(parent),
		.is_base = is_base != 0,
		.is_on_path = is_on_path != 0,
		.is_out = is_base != 0 };
	for (Py_ssize_t i = 0; i < PyTuple_Size(list); i++)
		*(*needs)++ = (uint32_t)PyLong_AsUnsignedLong(PyTuple_GetItem(list, i));
	book->need_count = (uint32_t)(*needs - book->needs);
	place = PyLong_FromUnsignedLong(at);
	if (place == NULL || PyDict_SetItem(places, name, place) != 0)
		return -1;
	Py_DECREF(place);
	return PyErr_Occurred() ? -1 : 0;
}

/*
 * Check all numbers of books, and find the dictionaries of packages. Returns 0, or -1 and an error.
 */
static int
link_books(const uint32_t *needs, size_t count)
{
	bool good = true;

	for (size_t i = 0; i < count; i++)
		good = good && needs[i] < book_count;
	for (size_t i = 0; i < book_count && good; i++) {
		struct book *book = &books[i];

		good = (book->parent == NONE && book->child == NULL) || book->parent < book_count;
		if (!good || book->child == NULL)
			continue;
		book->package = PyObject_GetAttrString(books[book->parent].module, "__dict__");
		if (book->package == NULL)
			return -1;
		good = PyDict_Check(book->package);
	}
	if (!good)
		PyErr_SetString(PyExc_ValueError, "a module's number is out of range");
	return good ? 0 : -1;
}

PyObject *
shelf_fill(PyObject *self, PyObject *args)
{
	static PyMethodDef stand_in = { "_find_and_load", find_and_load, METH_VARARGS, "Find and load the module." };
	PyObject *list, *importlib;
	unsigned long long bytes;
	uint32_t *needs, *next;
	size_t need_count = 0;

	(void)self;
	if (!PyArg_ParseTuple(args, "O!K", &PyList_Type, &list, &bytes))
		return NULL;
	cold_bytes = bytes;
	drop_ballast();
	book_count = (size_t)PyList_Size(list);
	for (size_t i = 0; i < book_count; i++) {
		PyObject *book = PyList_GetItem(list, (Py_ssize_t)i),
		         *its = PyTuple_Check(book) ? PyTuple_GetItem(book, 5) : NULL;

		if (its == NULL || !PyTuple_Check(its))
			return PyErr_Format(PyExc_TypeError, "a book is malformed");
		need_count += (size_t)PyTuple_Size(its);
	}
	books = calloc(book_count + 1, sizeof *books);
	plan = calloc(book_count + 1, sizeof *plan);
	needs = next = calloc(need_count + 1, sizeof *needs);
	places = PyDict_New();
	if (books == NULL || plan == NULL || needs == NULL || places == NULL)
		return PyErr_NoMemory();
	for (size_t i = 0; i < book_count; i++) {
		if (read_book(PyList_GetItem(list, (Py_ssize_t)i), (uint32_t)i, &next) != 0)
			return NULL;
	}
	importlib = PyImport_AddModule("_frozen_importlib");
	if (link_books(needs, need_count) != 0 || importlib == NULL)
		return NULL;
	original = PyObject_GetAttrString(importlib, "_find_and_load");
	list = original == NULL ? NULL : PyCFunction_NewEx(&stand_in, NULL, NULL);
	if (list == NULL || PyObject_SetAttrString(importlib, "_find_and_load", list) != 0)
		return NULL;
	Py_DECREF(list);
	Py_RETURN_NONE;
}

/* A copy of a list of sys. Returns NULL and an error if there is none. */
static PyObject *
copy_of(const char *name, Py_ssize_t from)
{
	PyObject *list = PySys_GetObject(name);

	if (list == NULL || !PyList_CheckExact(list))
		return PyErr_Format(PyExc_TypeError, "sys.%s is no list", name);
	return PyList_GetSlice(list, from, PyList_Size(list));
}

PyObject *
shelf_keep_finders(PyObject *self, PyObject *unused)
{
	PyObject *path = copy_of("meta_path", 0), *path_hooks = path == NULL ? NULL : copy_of("path_hooks", 0);

	(void)self;
	(void)unused;
	if (path_hooks == NULL) {
		Py_XDECREF(path);
		return NULL;
	}
	Py_XDECREF(finders);
	Py_XDECREF(hooks);
	finders = path;
	hooks = path_hooks;
	Py_RETURN_NONE;
}

int
shelf_open(void)
{
	if (books == NULL)
		return 0;
	import_function = PyDict_GetItemString(PyEval_GetBuiltins(), "__import__");
	gettrace = PySys_GetObject("gettrace");
	getprofile = PySys_GetObject("getprofile");
	if (shelf_keep_finders(NULL, NULL) == NULL)
		return -1;
	library = copy_of("path", 1);
	if (library == NULL || import_function == NULL || gettrace == NULL || getprofile == NULL)
		return -1;
	Py_INCREF(import_function);
	Py_INCREF(gettrace);
	Py_INCREF(getprofile);
	is_open = true;
	return 0;
}

PyObject *
shelf_take_back(PyObject *self, PyObject *unused)
{
	PyObject *modules = PyImport_GetModuleDict();

	(void)self;
	(void)unused;
	for (size_t i = 0; i < book_count; i++) {
		struct book *book = &books[i];

		if (book->is_base || !book->is_out)
			continue;
		if (PyDict_DelItem(modules, book->name) != 0)
			PyErr_Clear();
		if (book->child != NULL && book->prior != NULL)
			PyDict_SetItem(book->package, book->child, book->prior);
		else if (book->child != NULL && PyDict_DelItem(book->package, book->child) != 0)
			PyErr_Clear();
		book->is_out = false;
	}
	out_count = 0;
	if (PyErr_Occurred())
		return NULL;
	Py_RETURN_NONE;
}

int
shelf_rehearse(bool begins)
{
	PyObject *done;

	is_open = !begins;
	if (begins)
		return 0;
	done = shelf_take_back(NULL, NULL);
	Py_XDECREF(done);
	return done == NULL ? -1 : 0;
}

Py_ssize_t
shelf_out(void)
{
	return out_count;
}

bool
shelf_has(PyObject *name)
{
	return places != NULL && PyDict_GetItem(places, name) != NULL;
}
