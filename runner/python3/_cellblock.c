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

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
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

#define BOX "/box"
#define STATUS_INTERRUPTED 256 /* no exit status: the program dies of SIGINT, as Python does */
#define GUEST_ORDER_FDS (2 + ORDER_CGROUPS_MAX)

static struct zygote_setup setup;
static struct sock_fprog base_filter;
static struct sock_fprog last_filter[ZYGOTE_GRANTS];
static PyObject *driver;     /* driver.py's module */
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

/* Write the source where a fresh interpreter would have found it: tracebacks and inspect read it from there. */
static void
write_main_file(const char *code, size_t size)
{
	int fd = open(setup.main_file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	size_t done = 0;

	if (fd < 0)
		fail("write the program");
	while (done < size) {
		ssize_t n = write(fd, code + done, size - done);

		/* A program that does not fit on its disk runs all the same: its text is in memory. */
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	close(fd);
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

/* (code, preload, args, env) of the job in `fd`; also writes the main file. NULL and a Python error on failure. */
static PyObject *
read_job(int fd)
{
	struct job_header head;
	struct stat st;
	PyObject *job = NULL, *args = NULL, *env = NULL;
	const char *text;
	char *map;
	uint64_t size;

	if (fstat(fd, &st) != 0 || st.st_size < (off_t)sizeof head)
		return PyErr_Format(PyExc_ValueError, "malformed job");
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return PyErr_SetFromErrno(PyExc_OSError);
	memcpy(&head, map, sizeof head);
	size = sizeof head + (uint64_t)head.code_bytes + head.preload_bytes + head.args_bytes + head.env_bytes;
	if (head.magic != JOB_MAGIC || size != (uint64_t)st.st_size) {
		PyErr_SetString(PyExc_ValueError, "malformed job");
		goto out;
	}
	text = map + sizeof head;
	write_main_file(text, head.code_bytes);
	args = strings_of(text + head.code_bytes + head.preload_bytes, head.args_bytes, head.argc);
	env = args == NULL ? NULL :
	    strings_of(text + head.code_bytes + head.preload_bytes + head.args_bytes, head.env_bytes, head.envc);
	if (env != NULL)
		job = Py_BuildValue("(y#y#OO)", text, (Py_ssize_t)head.code_bytes, text + head.code_bytes,
		    (Py_ssize_t)head.preload_bytes, args, env);
out:
	Py_XDECREF(args);
	Py_XDECREF(env);
	munmap(map, (size_t)st.st_size);
	return job;
}

static int
limit(int resource, uint64_t value)
{
	struct rlimit both = { (rlim_t)value, (rlim_t)value };

	return setrlimit((__rlimit_resource_t)resource, &both);
}

/* Wait for the run. Returns the job (see read_job), its stdio on 0, 1 and 2 and nothing else open, walls complete. */
static PyObject *
receive_job(void)
{
	struct guest_start start;
	PyObject *job;
	size_t count;
	int fds[4];

	if (fdpass_recv(control_fd, &start, sizeof start, fds, 4, &count, NULL) != (ssize_t)sizeof start ||
	    count != (start.has_stdin != 0 ? 4u : 3u) || start.grant >= ZYGOTE_GRANTS)
		_exit(0); /* the cell is taken down unused */
	if (dup2(fds[1], STDOUT_FILENO) < 0 || dup2(fds[2], STDERR_FILENO) < 0 ||
	    (start.has_stdin != 0 && dup2(fds[3], STDIN_FILENO) < 0))
		fail("take over stdin, stdout and stderr");
	job = read_job(fds[0]);
	if (limit(RLIMIT_CPU, start.cpu_seconds) != 0 || (start.data_bytes != 0 && limit(RLIMIT_DATA, start.data_bytes) != 0) ||
	    (start.tasks != 0 && limit(RLIMIT_NPROC, start.tasks) != 0))
		fail("set its rlimits");
	if (syscall(SYS_close_range, 3u, ~0u, 0u) != 0)
		fail("close what is not the program's");
	control_fd = -1;
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0u, &last_filter[start.grant]) != 0)
		_exit(127); /* nobody is left to tell; the program has not run */
	return job;
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

/*
 * Run a code object as an interpreter runs a script. Returns -1 when it came to its end, else the exit status of the
 * program: what SystemExit says, or 1 after the exception has been printed by sys.excepthook.
 */
static int
run_code(PyObject *code, PyObject *globals)
{
	PyObject *result = PyEval_EvalCode(code, globals, globals);
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

/* The guest, from its code to its end. */
static void
run_guest(void)
{
	PyObject *job, *steps, *answer, *args;
	int status = -1;

	answer = call_driver("arm", NULL);
	if (answer == NULL)
		fail("arm the interpreter");
	Py_DECREF(answer);
	report_ready();
	job = receive_job();
	/* [(code, globals), ...] of the preload and the program. What does not compile is told like any other exception. */
	steps = job == NULL ? NULL : call_driver("begin", job);
	Py_XDECREF(job);
	if (steps == NULL) {
		PyErr_Print();
		status = 1;
	}
	for (Py_ssize_t i = 0; status < 0 && i < PyList_Size(steps); i++) {
		PyObject *step = PyList_GetItem(steps, i);

		status = run_code(PyTuple_GetItem(step, 0), PyTuple_GetItem(step, 1));
	}
	/* The program's globals must have no holder but the program, or what it left would not be finalized. */
	Py_XDECREF(steps);
	args = Py_BuildValue("(i)", status < 0 ? 0 : status);
	answer = args == NULL ? NULL : call_driver("end", args);
	if (answer != NULL)
		status = (int)PyLong_AsLong(answer);
	if (status == STATUS_INTERRUPTED) {
		signal(SIGINT, SIG_DFL);
		raise(SIGINT);
	}
	_exit(status & 0xff);
}

/* ---- start of the zygote ---------------------------------------------------------------------------------------- */

/* serve(): the interactive hook; see the top. */
static PyObject *
serve(PyObject *self, PyObject *unused)
{
	(void)self;
	(void)unused;
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

/*
 * wall_in(driver): the last step before a zygote serves. Everything set here is inherited by its guests: no uid 0
 * magic, an empty bounding set, and the base filter. A process with a second thread cannot be forked faithfully.
 */
static PyObject *
wall_in(PyObject *self, PyObject *module_of_driver)
{
	(void)self;
	Py_INCREF(module_of_driver);
	driver = module_of_driver;
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
	{ "wall_in", wall_in, METH_O, NULL },
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
