/*
 * _cellblock.c - the zygote's loop and the guest's last steps, inside a Python interpreter.
 *
 * Runs in a zygote (uid 0 of the runner's user namespace, in the language's read-only root) and, after the fork, in a
 * guest, where it ends by running user code with no privilege left. Built once against the stable ABI of Python 3.8,
 * so one file serves every later CPython.
 *
 * driver.py does what is easier said in Python. serve() is called by the interpreter itself, as its interactive hook,
 * so that no Python frame lies below the user's code: stacks and tracebacks are those of a fresh interpreter.
 */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x03080000
#define _GNU_SOURCE
#include <Python.h>

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <link.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fdpass.h"
#include "job.h"
#include "orders.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* Linux 6.1 */
#endif

#define BOX "/box"
#define HEAP_CHUNK_MAX 120000 /* below malloc's threshold for a mapping of its own */
#define HEAP_CHUNK_MIN 528    /* smaller ones are Python's own allocator's business */
#define HUGE_PAGE ((uintptr_t)2 << 20)
#define JOB_FD 3
#define STATUS_INTERRUPTED 256 /* no exit status: the program dies of SIGINT, as Python does */
#define GUEST_ORDER_FDS (2 + ORDER_CGROUPS_MAX)

/* Not of the stable ABI, but there in every version, and unchanged; `flags` may be NULL. */
PyObject *PyRun_FileExFlags(FILE *file, const char *name, int start, PyObject *globals, PyObject *locals, int close,
    void *flags);

static struct zygote_setup setup;
static struct sock_fprog base_filter;
static struct sock_fprog last_filter[ZYGOTE_GRANTS];
static PyObject *driver;     /* driver.py's module */
static PyObject *hook;       /* what the interactive hook was */
static PyObject *globals;    /* of the program's __main__; sys.modules holds it, not we */
static PyObject *gc_collect, *gc_get_count;
static PyObject *name_main, *name_threading, *name_atexit;
static Py_ssize_t module_count;     /* in sys.modules before the program */
static bool generations_are_simple; /* counts tell which generation was ever collected */
static void (*leave_recursive_call)(void); /* from Python 3.9 on */
static bool reseed;          /* a module was imported whose randomness must be seen to */
static char main_path[sizeof BOX + sizeof setup.main_file];
static int control_fd = -1; /* of a guest, until it is started */
static int shown_fds[2] = { -1, -1 }; /* what an armed guest shows the runner: its cell's init, and its tmpfs */

/* ---- what a guest does before it has its code ------------------------------------------------------------------ */

static void
report(int sock, int error, const char *step, const int *fds, size_t fd_count)
{
	struct guest_report message = { .error = error };

	snprintf(message.step, sizeof message.step, "%s", step);
	fdpass_send(sock, &message, sizeof message, fds, fd_count);
}

/* A guest that cannot be made safe is not made: say which step failed, and end. */
static void
fail(const char *step)
{
	report(control_fd, errno, step, NULL, 0);
	_exit(127);
}

static int
drop_capabilities(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { { 0 } };
	struct __user_cap_data_struct now[2];

	if (syscall(SYS_capset, &head, none) != 0 || syscall(SYS_capget, &head, now) != 0)
		return -1;
	if (memcmp(now, none, sizeof now) != 0) {
		errno = EPERM;
		return -1;
	}
	return 0;
}

static void
enter_cell(const struct guest_order *order, int init_fd, const int *cgroup_fds, size_t cgroups)
{
	if (setns(init_fd, CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS) != 0)
		fail("join the cell's namespaces");
	if (setsid() < 0)
		fail("leave the runner's session");
	/* "0" moves the writer. Version 2 needs no write: there the guest was born in its cgroup. */
	for (size_t i = 0; i < cgroups; i++) {
		if (write(cgroup_fds[i], "0", 1) != 1)
			fail("join the cell's cgroup");
	}
	if (setup.single_uid == 0) {
		if (setgroups(0, NULL) != 0 || setresgid(order->uid, order->uid, order->uid) != 0 ||
		    setresuid(order->uid, order->uid, order->uid) != 0)
			fail("become the cell's user");
		if (setresuid(0, 0, 0) == 0) {
			errno = EPERM;
			fail("stay the cell's user");
		}
	}
	if (drop_capabilities() != 0)
		fail("drop all capabilities");
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		fail("no_new_privs");
	if (chdir(BOX) != 0 || (shown_fds[1] = open(BOX, O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0)
		fail("enter the working directory");
}

/* ---- the zygote's loop ------------------------------------------------------------------------------------------ */

/*
 * Fork a guest below the runner, not below us: the runner reaps it and learns its rusage without asking anybody.
 * clone3 is called past libc, so the child's thread id, which libc keeps at the address that the kernel knows, is
 * set by the kernel itself.
 */
static pid_t
fork_guest(int *tid_address, int cgroup_fd)
{
	struct clone_args args = {
		.flags = CLONE_PARENT | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID,
		.child_tid = (uint64_t)(uintptr_t)tid_address,
	};

	if (cgroup_fd >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)cgroup_fd;
	}
	return (pid_t)syscall(SYS_clone3, &args, sizeof args);
}

static bool
is_directory(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Make guests until the warden closes the socket. Returns in each guest, inside its cell; never in the zygote. */
static void
make_guests(void)
{
	int *tid_address = NULL;

	if (prctl(PR_GET_TID_ADDRESS, &tid_address, 0, 0, 0) != 0 || *tid_address != (int)syscall(SYS_gettid))
		_exit(126);
	PyOS_BeforeFork();
	for (;;) {
		struct guest_order order;
		int fds[GUEST_ORDER_FDS];
		size_t count;
		int born_in = -1;
		const int *cgroups = fds + 2;
		size_t cgroup_count;
		pid_t pid;

		if (fdpass_recv(ZYGOTE_ORDERS_FD, &order, sizeof order, fds, GUEST_ORDER_FDS, &count, NULL) !=
		    (ssize_t)sizeof order || count < 2)
			_exit(0);
		cgroup_count = count - 2;
		/* A directory is a version 2 cgroup, to be born in; files are the "tasks" of version 1, to be written to. */
		if (cgroup_count == 1 && is_directory(cgroups[0])) {
			born_in = cgroups[0];
			cgroup_count = 0;
		}
		if (setns(fds[0], CLONE_NEWPID) != 0) {
			report(fds[1], errno, "join the cell's pid namespace", NULL, 0);
		} else if ((pid = fork_guest(tid_address, born_in)) < 0) {
			report(fds[1], errno, "fork a guest", NULL, 0);
		} else if (pid == 0) {
			close(ZYGOTE_ORDERS_FD);
			control_fd = fds[1];
			shown_fds[0] = fds[0];
			enter_cell(&order, fds[0], cgroups, cgroup_count);
			fdpass_close(fds + 2, count - 2);
			PyOS_AfterFork_Child();
			return;
		}
		fdpass_close(fds, count);
	}
}

/* ---- what a guest does with its code ---------------------------------------------------------------------------- */

/* Tell the runner that this guest waits for a run, and forget what only the runner needs. */
static void
report_ready(void)
{
	report(control_fd, 0, "", shown_fds, 2);
	fdpass_close(shown_fds, 2);
}

/*
 * Write the source where a fresh interpreter would have found it: tracebacks and inspect read it from there. Returns
 * whether all of it is there. A program that does not fit on its disk runs all the same: its text is in memory.
 */
static bool
write_main_file(const char *code, size_t size)
{
	int fd = open(setup.main_file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	size_t done = 0;

	if (fd < 0)
		fail("write the program");
	while (done < size) {
		ssize_t n = write(fd, code + done, size - done);

		if (n <= 0)
			break;
		done += (size_t)n;
	}
	close(fd);
	return done == size;
}

/* A list of `count` strings out of `size` bytes, each ended by a NUL. NULL and a Python error if that is not so. */
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

/* Call NAME(...) of driver.py; a new reference or NULL. */
static PyObject *
call_driver(const char *name, PyObject *args)
{
	PyObject *function = PyObject_GetAttrString(driver, name);
	PyObject *result = function == NULL ? NULL : PyObject_CallObject(function, args);

	Py_XDECREF(function);
	return result;
}

/* Set the stage for a job with a preload, arguments or environment. The compiled preload, or NULL and an error. */
static PyObject *
begin(const struct job_header *head, const char *preload)
{
	const char *args_text = preload + head->preload_bytes;
	PyObject *args = strings_of(args_text, head->args_bytes, head->argc);
	PyObject *env = args == NULL ? NULL : strings_of(args_text + head->args_bytes, head->env_bytes, head->envc);
	PyObject *all = env == NULL ? NULL :
	    Py_BuildValue("(y#OO)", preload, (Py_ssize_t)head->preload_bytes, args, env);
	PyObject *code = all == NULL ? NULL : call_driver("begin", all);

	Py_XDECREF(all);
	Py_XDECREF(env);
	Py_XDECREF(args);
	return code;
}

/*
 * Is this a source in which reading a file and reading memory come to different ends? One with a NUL, a byte order
 * mark, or what may be an encoding cookie in its first two lines.
 */
static bool
is_odd_source(const char *text, size_t size)
{
	const char *line = memchr(text, '\n', size);
	size_t head = line == NULL ? size : (size_t)(line + 1 - text);

	if (line != NULL && (line = memchr(text + head, '\n', size - head)) != NULL)
		head = (size_t)(line - text);
	return (size > 0 && (unsigned char)text[0] == 0xef) || memchr(text, '\0', size) != NULL ||
	    memmem(text, head, "coding", 6) != NULL;
}

/* Compile as the interpreter compiles a file. A new reference or NULL and an error. */
static PyObject *
compile_program(const char *text, size_t size)
{
	/* A copy that ends with a NUL, which compilers want and jobs lack. */
	PyObject *source = PyBytes_FromStringAndSize(text, (Py_ssize_t)size);
	PyObject *code = source == NULL ? NULL : Py_CompileString(PyBytes_AsString(source), main_path, Py_file_input);

	Py_XDECREF(source);
	return code;
}

/*
 * Take in the job: steps[0] becomes the preload (NULL if there is none) and steps[1] the program (NULL if it is to be
 * run from its file). Also writes the main file. Returns 0, or -1 and an error.
 */
static int
read_job(int fd, PyObject *steps[2])
{
	struct job_header head;
	struct stat st;
	const char *text;
	bool is_written;
	char *map = MAP_FAILED;

	if (fstat(fd, &st) != 0 || st.st_size < (off_t)sizeof head ||
	    (map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0)) == MAP_FAILED)
		fail("read the job");
	memcpy(&head, map, sizeof head);
	if (head.magic != JOB_MAGIC || sizeof head + (uint64_t)head.code_bytes + head.preload_bytes + head.args_bytes +
	    head.env_bytes != (uint64_t)st.st_size)
		fail("understand the job");
	text = map + sizeof head;
	is_written = write_main_file(text, head.code_bytes);
	if (head.preload_bytes + head.argc + head.envc > 0)
		steps[0] = begin(&head, text + head.code_bytes);
	if (!PyErr_Occurred() && !(is_written && is_odd_source(text, head.code_bytes)))
		steps[1] = compile_program(text, head.code_bytes);
	munmap(map, (size_t)st.st_size);
	close(fd);
	return PyErr_Occurred() ? -1 : 0;
}

static int
limit(int resource, uint64_t value)
{
	struct rlimit both = { (rlim_t)value, (rlim_t)value };

	return setrlimit((__rlimit_resource_t)resource, &both);
}

/*
 * Wait for the run, and take its first steps: stdio on 0, 1 and 2 and nothing else open, rlimits, and the last filter.
 * What is compiled is compiled behind all walls. Returns read_job's result.
 */
static int
receive_job(PyObject *steps[2])
{
	struct guest_start start;
	size_t count;
	int fds[4];

	if (fdpass_recv(control_fd, &start, sizeof start, fds, 4, &count, NULL) != (ssize_t)sizeof start ||
	    count != (start.has_stdin != 0 ? 4u : 3u) || start.grant >= ZYGOTE_GRANTS)
		_exit(0); /* the cell is taken down unused */
	if (dup2(fds[1], STDOUT_FILENO) < 0 || dup2(fds[2], STDERR_FILENO) < 0 ||
	    (start.has_stdin != 0 && dup2(fds[3], STDIN_FILENO) < 0) || dup2(fds[0], JOB_FD) < 0)
		fail("take over stdin, stdout and stderr");
	if (limit(RLIMIT_CPU, start.cpu_seconds) != 0 || (start.data_bytes != 0 && limit(RLIMIT_DATA, start.data_bytes) != 0) ||
	    (start.tasks != 0 && limit(RLIMIT_NPROC, start.tasks) != 0))
		fail("set its rlimits");
	/* The control socket goes too: from here on there is nobody to tell, and what fails ends the guest at once. */
	if (syscall(SYS_close_range, JOB_FD + 1u, ~0u, 0u) != 0 ||
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0u, &last_filter[start.grant]) != 0)
		_exit(127);
	control_fd = -1;
	return read_job(JOB_FD, steps);
}

/*
 * Run `code`, or the main file if it is NULL, as an interpreter runs a script. Returns -1 when it came to its end, else the exit status of the
 * program: what SystemExit says, or 1 after the exception has been printed by sys.excepthook.
 */
static int
run_code(PyObject *code)
{
	PyObject *result = code != NULL ? PyEval_EvalCode(code, globals, globals) :
	    PyRun_FileExFlags(fopen(setup.main_file, "rb"), main_path, Py_file_input, globals, globals, 1, NULL);
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

/* ---- the end of a program, as far as it can tell, is that of an interpreter; see Py_FinalizeEx ------------------- */

/* Flush a stream. Returns 0, or -1 and an error. A closed one is nothing to complain about. */
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

/* Flush stdout and stderr, whatever they are by now. Returns 0, or -1 if something could not be written. */
static int
flush_streams(void)
{
	PyObject *out = PySys_GetObject("stdout"), *err = PySys_GetObject("stderr");
	int result = 0;

	if (out != NULL && out != Py_None && flush(out) != 0) {
		PyErr_WriteUnraisable(out);
		result = -1;
	}
	if (err != NULL && err != Py_None && flush(err) != 0) {
		PyErr_Clear();
		result = -1;
	}
	return result;
}

/* Flush, silently, the streams that an interpreter's own finalization would: those that are files of its making. */
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

/* Call FUNCTION of a module, if the module has been imported. */
static void
call_if_imported(PyObject *modules, PyObject *name, const char *function)
{
	PyObject *module = PyDict_GetItem(modules, name);
	PyObject *done = module == NULL ? NULL : PyObject_CallMethod(module, function, NULL);

	if (done == NULL && PyErr_Occurred())
		PyErr_WriteUnraisable(module);
	Py_XDECREF(done);
}

/*
 * The oldest generation of the garbage collector that can hold an object of the program: what is older is still as it
 * was frozen. A full collection would touch, and so copy, the pages of every type.
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

/* Let go of the program's modules, and collect what then hangs in cycles: their finalizers may still have to speak. */
static void
finalize_program(PyObject *modules)
{
	PyObject *done;

	if (PyDict_Size(modules) != module_count) {
		done = call_driver("forget_modules", NULL);
		Py_XDECREF(done);
	}
	PyDict_DelItem(modules, name_main);
	PyErr_Clear();
	done = PyObject_CallFunction(gc_collect, "l", generations_are_simple ? oldest_used_generation() : 2);
	Py_XDECREF(done);
	PyErr_Clear();
}

/* All that follows the program's last line. Returns the exit status. */
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
 * Do, before there is a run, what every run does first: compile, print, collect. What that dirties is then the guest's own
 * already, and the pages need not be copied while a client waits. Leaves no trace that a program could find.
 */
static void
rehearse(void)
{
	PyObject *scope = PyDict_New();
	PyObject *code = scope == NULL ? NULL : Py_CompileString("print(0)\n", main_path, Py_file_input);
	PyObject *done = NULL;

	if (code != NULL && PyDict_SetItemString(scope, "__builtins__", PyEval_GetBuiltins()) == 0)
		done = PyEval_EvalCode(code, scope, scope);
	Py_XDECREF(done);
	Py_XDECREF(code);
	Py_XDECREF(scope);
	flush_files();
	done = PyObject_CallFunction(gc_collect, "l", 0L);
	Py_XDECREF(done);
	if (PyErr_Occurred())
		fail("rehearse a run");
}

/* The guest, from its code to its end. */
static void
run_guest(void)
{
	PyObject *steps[2] = { NULL, NULL }; /* preload and program */
	PyObject *answer;
	int status = -1;

	if (reseed) {
		answer = call_driver("reseed", NULL);
		if (answer == NULL)
			fail("reseed");
		Py_DECREF(answer);
	}
	rehearse();
	report_ready();
	/* What does not compile is told like any other exception. */
	if (receive_job(steps) != 0) {
		PyErr_Print();
		status = 1;
	}
	/* The interpreter's call of its hook must not count in the program's recursion. */
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
	_exit(status & 0xff);
}

/* ---- start of the zygote ---------------------------------------------------------------------------------------- */

/*
 * Leave no free chunk in the heap but its top. A guest's mallocs would take one here and one there, dirtying (which is
 * copying) a page each; from the top they come side by side. What fills the holes is memory that is there anyway.
 */
static void
fill_heap(void)
{
	void *highest;
	uintptr_t top;

	malloc_trim(0);
	highest = malloc(HEAP_CHUNK_MAX);
	top = (uintptr_t)highest;
	free(highest);
	for (size_t size = HEAP_CHUNK_MAX; size >= HEAP_CHUNK_MIN; size -= 16) {
		void *chunk;

		while ((chunk = malloc(size)) != NULL && (uintptr_t)chunk < top)
			continue;
		free(chunk);
	}
}

/*
 * Put the interpreter's code into huge pages, where whole ones fit. A file's pages are mapped anew in every fork, by a
 * page fault for each sixteen of them, and unmapped at its end; a huge page of our own comes along with the fork and
 * costs nothing more. `start` to `end`: memory that is never written.
 */
static void
use_huge_pages(uintptr_t start, uintptr_t end)
{
	for (uintptr_t at = (start + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1); at + HUGE_PAGE <= end; at += HUGE_PAGE) {
		char *space = mmap(NULL, 2 * HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		char *copy = (char *)(((uintptr_t)space + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1));

		if (space == MAP_FAILED)
			return;
		memcpy(copy, (const void *)at, HUGE_PAGE);
		/* A huge page or none: small ones would make it worse. */
		if (madvise(copy, HUGE_PAGE, MADV_COLLAPSE) == 0 && mprotect(copy, HUGE_PAGE, PROT_READ | PROT_EXEC) == 0)
			mremap(copy, HUGE_PAGE, HUGE_PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)at);
		munmap(space, 2 * HUGE_PAGE);
	}
}

/* For dl_iterate_phdr: the part of the interpreter that is never written, from its first page to the first that is. */
static int
find_code(struct dl_phdr_info *object, size_t size, void *unused)
{
	uintptr_t start = 0, end = 0;

	(void)size;
	(void)unused;
	if (object->dlpi_name[0] != '\0' && strstr(object->dlpi_name, "/libpython3") == NULL)
		return 0;
	for (int i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *part = &object->dlpi_phdr[i];
		uintptr_t at = (object->dlpi_addr + part->p_vaddr) & ~(uintptr_t)4095;

		if (part->p_type != PT_LOAD)
			continue;
		if ((part->p_flags & PF_W) != 0 || (end != 0 && at != end))
			break;
		start = start == 0 ? at : start;
		end = (object->dlpi_addr + part->p_vaddr + part->p_memsz + 4095) & ~(uintptr_t)4095;
	}
	use_huge_pages(start, end);
	return 0;
}

/* serve(): the interactive hook; see the top. */
static PyObject *
serve(PyObject *self, PyObject *unused)
{
	(void)self;
	(void)unused;
	/* What the program finds as its hook is what a fresh interpreter has. */
	PySys_SetObject("__interactivehook__", hook == Py_None ? NULL : hook);
	leave_recursive_call = (void (*)(void))dlsym(RTLD_DEFAULT, "Py_LeaveRecursiveCall");
	fill_heap();
	if (setup.huge_pages != 0)
		dl_iterate_phdr(find_code, NULL);
	make_guests();
	run_guest();
	return NULL; /* never: a guest ends there */
}

/* Read the next `size` bytes of the setup. Its file position is shared by all zygotes, so it is not used. */
static int
read_setup(void *to, size_t size)
{
	static off_t offset;

	while (size > 0) {
		ssize_t n = pread(ZYGOTE_SETUP_FD, to, size, offset);

		if (n <= 0)
			return -1;
		offset += n;
		to = (char *)to + n;
		size -= (size_t)n;
	}
	return 0;
}

static int
read_filter(struct sock_fprog *filter, uint32_t count)
{
	size_t size = count * sizeof(struct sock_filter);

	if (count == 0 || count > BPF_MAXINSNS || (filter->filter = PyMem_Malloc(size)) == NULL)
		return -1;
	filter->len = (unsigned short)count;
	return read_setup(filter->filter, size);
}

/* load_setup() -> (main_file, [module, ...]): read what the runner wrote for this zygote. */
static PyObject *
load_setup(PyObject *self, PyObject *unused)
{
	PyObject *imports = NULL;
	char *names = NULL;
	bool good;

	(void)self;
	(void)unused;
	good = read_setup(&setup, sizeof setup) == 0 && setup.magic == ZYGOTE_SETUP_MAGIC &&
	    setup.imports_bytes < (1u << 20) && read_filter(&base_filter, setup.base_count) == 0;
	for (int i = 0; good && i < ZYGOTE_GRANTS; i++)
		good = read_filter(&last_filter[i], setup.last_count[i]) == 0;
	if (good && (names = PyMem_Malloc(setup.imports_bytes + 1u)) != NULL &&
	    read_setup(names, setup.imports_bytes) == 0)
		imports = strings_of(names, setup.imports_bytes, setup.imports);
	PyMem_Free(names);
	close(ZYGOTE_SETUP_FD);
	if (imports == NULL)
		return PyErr_Format(PyExc_ValueError, "malformed zygote setup");
	setup.main_file[sizeof setup.main_file - 1] = '\0';
	return Py_BuildValue("(sN)", setup.main_file, imports);
}

/* send_report(error, version, text): tell the runner how the zygote came up. */
static PyObject *
send_report(PyObject *self, PyObject *args)
{
	struct zygote_report message = { 0 };
	const char *version, *text;
	int error;

	(void)self;
	if (!PyArg_ParseTuple(args, "iss", &error, &version, &text))
		return NULL;
	message.error = error;
	snprintf(message.version, sizeof message.version, "%s", version);
	snprintf(message.text, sizeof message.text, "%s", text);
	if (fdpass_send(ZYGOTE_ORDERS_FD, &message, sizeof message, NULL, 0) != 0)
		return PyErr_SetFromErrno(PyExc_OSError);
	Py_RETURN_NONE;
}

/* plain_flags(flags, values): a sys.flags with other values. It has no constructor that Python can call. */
static PyObject *
plain_flags(PyObject *self, PyObject *args)
{
	PyObject *flags, *values, *fresh;

	(void)self;
	if (!PyArg_ParseTuple(args, "OO", &flags, &values))
		return NULL;
	fresh = PyStructSequence_New(Py_TYPE(flags));
	for (Py_ssize_t i = 0; fresh != NULL && i < PyList_Size(values); i++) {
		PyObject *value = PyList_GetItem(values, i);

		Py_INCREF(value);
		PyStructSequence_SetItem(fresh, i, value);
	}
	return fresh;
}

static long
python_minor(void)
{
	PyObject *info = PySys_GetObject("version_info");

	return info == NULL ? 0 : PyLong_AsLong(PyStructSequence_GetItem(info, 1));
}

/* Look up what the end of every program needs. Returns 0, or -1 and an error. */
static int
find_at_end(PyObject *modules)
{
	PyObject *gc = PyImport_ImportModule("gc");

	gc_collect = gc == NULL ? NULL : PyObject_GetAttrString(gc, "collect");
	gc_get_count = gc == NULL ? NULL : PyObject_GetAttrString(gc, "get_count");
	name_main = PyUnicode_InternFromString("__main__");
	name_threading = PyUnicode_InternFromString("threading");
	name_atexit = PyUnicode_InternFromString("atexit");
	module_count = PyDict_Size(modules);
	/* From 3.13 on the collector works in increments, and counts say less. */
	generations_are_simple = PyDict_GetItemString(modules, "gc") == gc && python_minor() < 13;
	Py_XDECREF(gc);
	return PyErr_Occurred() ? -1 : 0;
}

/*
 * wall_in(driver, main, hook): the last step before a zygote serves. Everything set here is inherited by its guests:
 * no uid 0 magic, an empty bounding set, and the base filter. A process with a second thread cannot be forked
 * faithfully.
 */
static PyObject *
wall_in(PyObject *self, PyObject *args)
{
	PyObject *modules = PyImport_GetModuleDict(), *main_module;

	(void)self;
	if (!PyArg_ParseTuple(args, "OOO", &driver, &main_module, &hook))
		return NULL;
	Py_INCREF(driver);
	Py_INCREF(hook);
	globals = PyModule_GetDict(main_module);
	if (find_at_end(modules) != 0)
		return NULL;
	snprintf(main_path, sizeof main_path, "%s/%s", BOX, setup.main_file);
	reseed = PyDict_GetItemString(modules, "numpy.random") != NULL || PyDict_GetItemString(modules, "_ssl") != NULL;
	if (unshare(CLONE_THREAD) != 0)
		return PyErr_Format(PyExc_RuntimeError, "an imported module has started a thread");
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++) {
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) != 0)
			return PyErr_SetFromErrno(PyExc_OSError);
	}
	if (prctl(PR_SET_SECUREBITS, SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_KEEP_CAPS_LOCKED |
	    SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED, 0, 0, 0) != 0 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0u, &base_filter) != 0)
		return PyErr_SetFromErrno(PyExc_OSError);
	Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
	{ "load_setup", load_setup, METH_NOARGS, NULL },
	{ "plain_flags", plain_flags, METH_VARARGS, NULL },
	{ "send_report", send_report, METH_VARARGS, NULL },
	{ "wall_in", wall_in, METH_VARARGS, NULL },
	{ "serve", serve, METH_VARARGS, NULL },
	{ NULL, NULL, 0, NULL },
};

static struct PyModuleDef module = { PyModuleDef_HEAD_INIT, "_cellblock", NULL, -1, methods, NULL, NULL, NULL, NULL };

PyMODINIT_FUNC PyInit__cellblock(void);

PyMODINIT_FUNC
PyInit__cellblock(void)
{
	return PyModule_Create(&module);
}
