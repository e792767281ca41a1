/*
 * start.c - makes a zygote of Node, and guests in which Node runs a program as it always does.
 *
 * The runner starts `node /box/main.js` with this library preloaded. Node starts, and opens the
 * program that it is to run. This code replaces open(2). For that one path it does not return in
 * the zygote: it prepares Node, forks, and returns in each guest, when the guest has its run, with
 * the program. So Node itself runs the program, with its own loaders and its own frames. There is
 * no module, option or argument of ours, neither in the main thread nor in workers.
 *
 * Other functions that replace libc's keep Node from starting, before the fork, things that a fork
 * does not copy, and record its handlers for forks.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest/nodejs/engine.h"
#include "guest/guest.h"
#include "guest/memory.h"
#include "guest/zygote.h"
#include "paths.h"

#define MAIN_FILE PATH_BOX "/main.js"
#define MODULE_FILE PATH_BOX "/main.mjs"
#define DRIVER_FILE PATH_BOX "/driver.js"
#define SELF_TEST_FILE PATH_BOX "/selftest.js"
#define ENGINE_FILE PATH_BOX "/engine.so"
#define OWN_STAT_FILE "/proc/self/stat"
#define SELF_TEST_MS 15000
#define FORK_HANDLERS_MAX 32
#define FD_MAX 128
#define LOG_FD_MIN 10     /* above the descriptors of messages.h */
#define SELF_TEST_DONE 42 /* the exit status of selftest.js if all is well */
#define EXIT_OUT_OF_MEMORY 127

/*
 * A fork does not copy V8's own threads, so the thread that wants some work does it itself. V8
 * keeps the code that the warm-up compiled. V8 saves memory as it nears the first limit of its
 * heap; the limit is raised then, because the cell's limit is the one that counts.
 */
static const char v8_flags[] = "--single-threaded --no-flush-bytecode --max-old-space-size=192";

static const struct engine *engine;
static char *imports;  /* as zygote_begin returns them */
static bool is_served; /* the program has been opened once */
static bool is_child;
static int log_fd = -1; /* while the zygote prepares */
static void *heap_start;
static uint32_t zygote_seed;
static void (*fork_handler[FORK_HANDLERS_MAX])(void);
static size_t fork_handlers;

/* ---- replacements of libc's functions ------------------------------------------------------------ */

/* The address of libc's own function. */
static void *
next(const char *name)
{
	return dlsym(RTLD_NEXT, name);
}

static void __attribute__((noreturn)) fail(const char *version, const char *text)
{
	zygote_report(1, version, text);
	_exit(1);
}

static int (*real_main)(int argc, char **argv, char **env);

/* Runs in the place of Node's main(), before it. */
static int
main_with_flags(int argc, char **argv, char **env)
{
	void (*set_flags)(const char *) = (void (*)(const char *))dlsym(RTLD_DEFAULT, "_ZN2v82V818SetFlagsFromStringEPKc");
	char flag[40];

	unsetenv("LD_PRELOAD");
	unsetenv("LD_BIND_NOW");
	unsetenv("LD_ORIGIN_PATH");
	if (zygote_begin(&imports) != 0)
		fail("", "malformed zygote setup");
	heap_start = sbrk(0);
	if (getrandom(&zygote_seed, sizeof zygote_seed, 0) != (ssize_t)sizeof zygote_seed)
		fail("", "cannot get random numbers");
	zygote_seed = (zygote_seed & 0x7fffffff) | 1;
	if (set_flags != NULL) {
		set_flags(v8_flags); /* process.execArgv would show flags of the command line */
		snprintf(flag, sizeof flag, "--random-seed=%u", zygote_seed);
		set_flags(flag);
	}
	return real_main(argc, argv, env);
}

int __libc_start_main(int (*main)(int, char **, char **), int argc, char **argv, void (*init)(void), void (*fini)(void),
    void (*rtld_fini)(void), void *stack_end);

int
__libc_start_main(int (*main)(int, char **, char **), int argc, char **argv, void (*init)(void), void (*fini)(void),
    void (*rtld_fini)(void), void *stack_end)
{
	int (*start)(int (*)(int, char **, char **), int, char **, void (*)(void), void (*)(void), void (*)(void),
	    void *) = (int (*)(int (*)(int, char **, char **), int, char **, void (*)(void), void (*)(void), void (*)(void),
	    void *))next("__libc_start_main");

	real_main = main;
	return start(main_with_flags, argc, argv, init, fini, rtld_fini, stack_end);
}

/* Record the handlers for forks. libc keeps them to itself, and guests are forked without libc. */
int __register_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void), void *object);

int
__register_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void), void *object)
{
	static int (*own)(void (*)(void), void (*)(void), void (*)(void), void *);

	if (own == NULL)
		own = (int (*)(void (*)(void), void (*)(void), void (*)(void), void *))next("__register_atfork");
	if (child != NULL && fork_handlers < FORK_HANDLERS_MAX)
		fork_handler[fork_handlers++] = child;
	return own(prepare, parent, child, object);
}

/* V8 asks the kernel not to copy its heap to children. Guests need it. */
int
madvise(void *start, size_t size, int advice)
{
	return advice == MADV_DONTFORK ? 0 : (int)syscall(SYS_madvise, start, size, advice);
}

/*
 * V8 protects its code by memory protection keys if it gets one. A guest's policy denies the calls.
 */
int
pkey_alloc(unsigned flags, unsigned rights)
{
	(void)flags;
	(void)rights;
	errno = ENOSYS;
	return -1;
}

/* ---- the self-test ------------------------------------------------------------------------------- */

/* A child runs a program of ours in the way in which a guest runs the client's. */

/*
 * In a child, before it uses Node. Returns false, with errno, if it has no random numbers of its
 * own.
 */
static bool
after_fork(void)
{
	is_child = true;
	for (size_t i = 0; i < fork_handlers; i++)
		fork_handler[i]();
	return engine->enter_child();
}

/*
 * Fork without libc, as guests are forked, but into the same cell. The child's stdout and stderr
 * are a pipe, whose other end becomes *out. Returns 0 in the child, and -1 with errno if it fails.
 */
static pid_t
fork_to_test(int *out)
{
	int pipes[2], *tid_address = NULL;
	pid_t pid;

	if (pipe2(pipes, O_CLOEXEC) != 0 || prctl(PR_GET_TID_ADDRESS, &tid_address, 0, 0, 0) != 0)
		return -1;
	/*
	 * Architectures differ in which of the last two is the tid's address. The other is not
	 * used.
	 */
	pid = (pid_t)syscall(SYS_clone, CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | SIGCHLD, NULL, NULL, tid_address,
	    tid_address);
	if (pid == 0) {
		dup2(pipes[1], STDOUT_FILENO);
		dup2(pipes[1], STDERR_FILENO);
		close(pipes[0]);
		close(pipes[1]);
		return 0;
	}
	close(pipes[1]);
	*out = pipes[0];
	return pid;
}

/*
 * Read the test's output until its end, or until the time is up. Returns true, or false with what
 * went wrong in `said`: the first line of output, or how the child ended without one.
 */
static bool
wait_for_test(pid_t pid, int out, char *said, size_t size)
{
	struct pollfd poll_out = { .fd = out, .events = POLLIN };
	size_t length = 0;
	ssize_t n = -1;
	int status = 0;

	while (
	    length + 1 < size && poll(&poll_out, 1, SELF_TEST_MS) == 1 && (n = read(out, said + length, size - 1 - length)) > 0)
		length += (size_t)n;
	said[length] = '\0';
	if (n != 0) {
		kill(pid, SIGKILL);
		snprintf(said + length, size - length, "%sno end within %d s", length == 0 ? "" : ", ", SELF_TEST_MS / 1000);
	}
	close(out);
	waitpid(pid, &status, 0);
	if (n == 0 && WIFEXITED(status) && WEXITSTATUS(status) == SELF_TEST_DONE)
		return true;
	said[strcspn(said, "\n")] = '\0';
	if (said[0] == '\0' && WIFSIGNALED(status))
		snprintf(said, size, "a child was killed by signal %d", WTERMSIG(status));
	else if (said[0] == '\0')
		snprintf(said, size, "a child ended at once with exit status %d", WEXITSTATUS(status));
	return false;
}

/* Do the two lines have the same word in one of their places? */
static bool
share_word(const char *one, const char *other)
{
	for (;;) {
		size_t length = strcspn(one, " \n"), other_length = strcspn(other, " \n");

		if (length == 0 || (length == other_length && memcmp(one, other, length) == 0))
			return true;
		one += length;
		other += other_length;
		if (*one != ' ' || *other != ' ')
			return false;
		one++;
		other++;
	}
}

/*
 * Have two children run selftest.js, which prints random numbers and exits with SELF_TEST_DONE.
 * Returns false in a child. Returns true in the zygote, with a text in `error` if a test failed.
 */
static bool
self_test(char *error, size_t size)
{
	char said[2][512];

	for (int i = 0; i < 2; i++) {
		int out = -1;
		pid_t pid = fork_to_test(&out);

		if (pid == 0) {
			if (!after_fork())
				_exit(1);
			engine->begin(NULL, 0);
			return false;
		}
		if (pid < 0) {
			snprintf(error, size, "self-test: cannot fork: %s", strerror(errno));
			return true;
		}
		if (!wait_for_test(pid, out, said[i], sizeof said[i])) {
			snprintf(error, size, "self-test: %.150s", said[i]);
			return true;
		}
	}
	if (share_word(said[0], said[1]))
		snprintf(error, size, "self-test: random numbers are the same in two children");
	return true;
}

/* ---- zygote and guest ---------------------------------------------------------------------------- */

/*
 * Node makes its streams once, in the zygote, and adapts them to the kind of file. A run has pipes,
 * so this makes stdout and stderr a pipe. Nobody reads it once Node is warm; see release_streams.
 */
static void
hold_streams(int *reader)
{
	int pipes[2];

	log_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, LOG_FD_MIN);
	if (log_fd < 0 || pipe2(pipes, O_CLOEXEC) != 0 || dup2(pipes[1], STDOUT_FILENO) < 0 || dup2(pipes[1], STDERR_FILENO) < 0)
		fail("", "cannot make a pipe");
	close(pipes[1]);
	*reader = pipes[0];
}

static void
release_streams(int reader)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 || dup2(null, STDERR_FILENO) < 0)
		fail("", "cannot open /dev/null");
	close(null);
	close(reader);
	close(log_fd);
	log_fd = -1;
}

/*
 * Mark the zygote's descriptors by clearing close-on-exec. libuv makes all of its descriptors
 * close-on-exec, so those that a guest opens later can be told apart.
 */
static void
mark_descriptors(void)
{
	for (int fd = ZYGOTE_REQUESTS_FD + 1; fd < FD_MAX; fd++)
		fcntl(fd, F_SETFD, 0);
}

/* Close the descriptors of the zygote's event loops. Keep those of this guest's own loop. */
static void
sort_descriptors(void)
{
	for (int fd = GUEST_CONTROL_FD + 1; fd < FD_MAX; fd++) {
		int flags = fcntl(fd, F_GETFD);

		if (flags < 0)
			continue;
		if ((flags & FD_CLOEXEC) == 0)
			close(fd);
		else
			guest_keep_fd(fd);
	}
}

static void
warn(const char *text)
{
	zygote_warn(log_fd, text);
}

/* Load engine.cc, which is built for this Node, and have it prepare. Returns the version. */
static const char *
prepare(void)
{
	char error[192] = "";
	void *library = dlopen(ENGINE_FILE, RTLD_NOW | RTLD_LOCAL);

	engine = library == NULL ? NULL : dlsym(library, ENGINE_SYMBOL);
	if (engine == NULL) {
		snprintf(error, sizeof error, "%.180s", dlerror());
		fail("", error);
	}
	/* Every guest is pid 2 of its namespace. OpenSSL detects a fork by the changed pid. */
	if (getpid() == 2)
		fail(engine->version(), "a zygote must not be pid 2");
	if (!engine->prepare(DRIVER_FILE, warn, imports, zygote_setup.imports, error, sizeof error))
		fail(engine->version(), error);
	free(imports);
	if (!engine->search_heap(heap_start, sbrk(0), zygote_seed))
		fail(engine->version(), "cannot find V8's random number generator");
	return engine->version();
}

/* There is no memory for the interpreter to go on: that is the memory limit. */
static void __attribute__((noreturn)) end_out_of_memory(void)
{
	raise(GUEST_OUT_OF_MEMORY);
	_exit(EXIT_OUT_OF_MEMORY);
}

/* A file without a name that holds `text`. */
static int
memory_file(const char *text, size_t size)
{
	int fd = memfd_create("main", MFD_CLOEXEC);

	if (fd < 0)
		end_out_of_memory();
	while (size > 0) {
		ssize_t n = write(fd, text, size);

		if (n <= 0)
			end_out_of_memory();
		text += n;
		size -= (size_t)n;
	}
	lseek(fd, 0, SEEK_SET);
	return fd;
}

/* Can this be an ES module? */
static bool
may_be_module(const char *text, size_t size)
{
	return memmem(text, size, "import", 6) != NULL || memmem(text, size, "export", 6) != NULL ||
	    memmem(text, size, "await", 5) != NULL;
}

/* The text of the program: the preload, a line break, and the code; or just the code. */
static const char *
program_text(const struct job_header *head, const char *code, size_t *size)
{
	char *text;

	*size = head->code_bytes;
	if (head->preload_bytes == 0)
		return code;
	*size += head->preload_bytes + 1u;
	text = malloc(*size);
	if (text == NULL)
		end_out_of_memory();
	memcpy(text, code + head->code_bytes, head->preload_bytes);
	text[head->preload_bytes] = '\n';
	memcpy(text + head->preload_bytes + 1, code, head->code_bytes);
	return text;
}

/* Set the run's variables, each ended by a NUL, as the worker has checked. */
static void
set_environment(const char *env, const char *end, uint32_t count)
{
	for (uint32_t i = 0; i < count && env < end; i++, env += strlen(env) + 1) {
		char *copy = strdup(env);

		if (copy == NULL || putenv(copy) != 0)
			end_out_of_memory();
	}
	if (count > 0)
		engine->environment_changed();
}

/* End the run if a package that it needs is not installed. */
static void
look_for_needs(const struct job_header *head, const char *code)
{
	const char *missing = head->needs == 0 ? NULL : engine->missing_need(guest_needs(head, code), head->needs);

	if (missing != NULL)
		guest_refuse_needs(missing);
}

/* In the guest: from the job until Node has the program. Returns an open file. */
static int
begin_run(int job_fd)
{
	struct job_header head;
	size_t job_size, size;
	const char *code = guest_map_job(job_fd, &head, &job_size);
	const char *args = code + head.code_bytes + head.preload_bytes;
	const char *text = program_text(&head, code, &size);
	bool is_written = guest_write_file(MAIN_FILE, text, size);
	int fd = -1;

	/* Such a run has a Node that was started for it. */
	if (head.main_bytes != 0) {
		errno = EINVAL;
		guest_fail("give another main file to a started Node");
	}
	guest_close_control();
	look_for_needs(&head, code);
	set_environment(args + head.args_bytes, code - sizeof head + job_size, head.envc);
	engine->begin(args, head.argc);
	if (is_written && may_be_module(text, size) && engine->is_module(text, size) && rename(MAIN_FILE, MODULE_FILE) == 0) {
		engine->run_module(MODULE_FILE);
		fd = memory_file("", 0);
	}
	if (fd < 0)
		fd = is_written ? (int)syscall(SYS_openat, AT_FDCWD, MAIN_FILE, O_RDONLY | O_CLOEXEC) : memory_file(text, size);
	if (text != code)
		free((void *)text);
	munmap((void *)(code - sizeof head), job_size);
	return fd;
}

/* Node opens its program. Returns the result of that open(2). */
static int
serve(int flags)
{
	int reader;
	const char *version, *failed;
	char error[192] = "";

	is_served = true;
	hold_streams(&reader);
	version = prepare();
	unsetenv("UV_USE_IO_URING");
	engine->settle();
	if (!self_test(error, sizeof error))
		return (int)syscall(SYS_openat, AT_FDCWD, SELF_TEST_FILE, flags);
	if (error[0] != '\0')
		fail(version, error);
	release_streams(reader);
	failed = zygote_wall_in(true);
	if (failed != NULL) {
		zygote_report_failure(version, failed);
		_exit(1);
	}
	mark_descriptors();
	engine->settle();
	memory_fill_heap();
	if (zygote_setup.huge_pages != 0)
		memory_use_huge_pages();
	zygote_report(0, version, "");
	zygote_make_guests();
	if (!after_fork())
		guest_fail("reseed");
	sort_descriptors();
	engine->begin_guest(guest_rehearses, guest_end);
	guest_report_ready();
	return begin_run(guest_receive_run());
}

/*
 * Cells have no /proc. Node reads one figure there, for process.memoryUsage(): the resident pages.
 * This reports their peak.
 */
static int
open_own_stat(void)
{
	struct rusage usage;
	char text[256];

	getrusage(RUSAGE_SELF, &usage);
	snprintf(text, sizeof text, "%d (node) R 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 1 0 0 0 %ld 0 0\n", (int)getpid(),
	    usage.ru_maxrss * 1024 / sysconf(_SC_PAGESIZE));
	return memory_file(text, strlen(text));
}

/* Called for every file that Node opens, from any thread. */
static int
open_file(const char *path, int flags, mode_t mode)
{
	if (is_child && strcmp(path, OWN_STAT_FILE) == 0 && syscall(SYS_faccessat, AT_FDCWD, path, F_OK) != 0)
		return open_own_stat();
	if (!is_served && strcmp(path, MAIN_FILE) == 0 && getpid() == (pid_t)syscall(SYS_gettid))
		return serve(flags);
	return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

int
open(const char *path, int flags, ...)
{
	mode_t mode;
	va_list list;

	va_start(list, flags);
	mode = (flags & (O_CREAT | __O_TMPFILE)) != 0 ? va_arg(list, mode_t) : 0;
	va_end(list);
	return open_file(path, flags, mode);
}

int
open64(const char *path, int flags, ...)
{
	mode_t mode;
	va_list list;

	va_start(list, flags);
	mode = (flags & (O_CREAT | __O_TMPFILE)) != 0 ? va_arg(list, mode_t) : 0;
	va_end(list);
	return open_file(path, flags | O_LARGEFILE, mode);
}
