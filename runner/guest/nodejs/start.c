/*
 * start.c - a Node zygote, and a guest in which Node runs a program as it always does.
 *
 * The runner starts `node /box/main.js` with this library preloaded. Node starts, and opens the program that it is to
 * run. There it is held up: open(2) for that one path does not return in the zygote. It prepares, forks, and returns in
 * each guest, when that has its run, with the program. So Node itself runs it, with its own loaders, its own frames and
 * no module, option or argument of ours, in workers as in the main thread.
 *
 * What Node keeps for its children and what it must not start before them is caught in the same way, by functions of libc
 * that stand before libc's own.
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
#include "paths.h"

#define MAIN_FILE PATH_BOX "/main.js"
#define MODULE_FILE PATH_BOX "/main.mjs"
#define DRIVER_FILE PATH_BOX "/driver.js"
#define SELF_TEST_FILE PATH_BOX "/selftest.js"
#define OWN_STAT_FILE "/proc/self/stat"
#define SELF_TEST_MS 15000
#define FORK_HANDLERS_MAX 32
#define FD_MAX 128

/*
 * V8's own threads are of no use to a process that forks: all of its work is done on the thread that wants it. Code that
 * the warm-up has compiled is kept. V8 is careful with memory as it nears the first limit of its heap, which is then
 * raised: the last word is the cell's.
 */
static const char v8_flags[] = "--single-threaded --no-flush-bytecode --max-old-space-size=192";

static const struct engine *engine;
static bool is_served;                       /* the program has been opened once */
static bool is_child;
static void *heap_start;
static uint32_t zygote_seed;
static void (*fork_handler[FORK_HANDLERS_MAX])(void);
static size_t fork_handlers;

/* ---- libc's, in front of libc's --------------------------------------------------------------------------------- */

/* The address of libc's own. */
static void *
next(const char *name)
{
	return dlsym(RTLD_NEXT, name);
}

static int (*real_main)(int argc, char **argv, char **env);

static int
main_with_flags(int argc, char **argv, char **env)
{
	void (*set_flags)(const char *) = (void (*)(const char *))dlsym(RTLD_DEFAULT, "_ZN2v82V818SetFlagsFromStringEPKc");
	char flag[40];

	unsetenv("LD_PRELOAD");
	unsetenv("LD_BIND_NOW");
	heap_start = sbrk(0);
	if (getrandom(&zygote_seed, sizeof zygote_seed, 0) != (ssize_t)sizeof zygote_seed)
		_exit(1);
	zygote_seed = (zygote_seed & 0x7fffffff) | 1;
	if (set_flags != NULL) {
		set_flags(v8_flags); /* on the command line they would be in process.execArgv */
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
	int (*start)(int (*)(int, char **, char **), int, char **, void (*)(void), void (*)(void), void (*)(void), void *) =
	    (int (*)(int (*)(int, char **, char **), int, char **, void (*)(void), void (*)(void), void (*)(void), void *))
	    next("__libc_start_main");

	real_main = main;
	return start(main_with_flags, argc, argv, init, fini, rtld_fini, stack_end);
}

/* What is to be done after a fork: guests are forked past libc, which keeps the list to itself. */
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

/* V8 asks for its heap not to be there in a child. */
int
madvise(void *start, size_t size, int advice)
{
	return advice == MADV_DONTFORK ? 0 : (int)syscall(SYS_madvise, start, size, advice);
}

/* V8 guards its code with a key for memory where there are any. The policy has none for guests. */
int
pkey_alloc(unsigned flags, unsigned rights)
{
	(void)flags;
	(void)rights;
	errno = ENOSYS;
	return -1;
}

/* ---- the self-test: a child that runs a program of ours as a guest runs the user's -------------------------------- */

static void
after_fork(void)
{
	is_child = true;
	for (size_t i = 0; i < fork_handlers; i++)
		fork_handler[i]();
	engine->enter_child();
}

/* Fork as guests are forked, past libc, but into the same cell; the child's stdout and stderr are a pipe. 0 in the child. */
static pid_t
fork_to_test(int *out)
{
	int pipes[2], *tid_address = NULL;
	pid_t pid;

	if (pipe2(pipes, O_CLOEXEC) != 0 || prctl(PR_GET_TID_ADDRESS, &tid_address, 0, 0, 0) != 0)
		return -1;
	/* Architectures differ in which of the last two is the tid's address; the other is not used. */
	pid = (pid_t)syscall(SYS_clone, CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | SIGCHLD, NULL, NULL, tid_address, tid_address);
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

/* Read what the test says until its end, or until time is up. Returns whether it has come to the end it should. */
static bool
wait_for_test(pid_t pid, int out, char *said, size_t size)
{
	struct pollfd poll_out = { .fd = out, .events = POLLIN };
	size_t length = 0;
	ssize_t n = -1;
	int status = 0;

	while (length + 1 < size && poll(&poll_out, 1, SELF_TEST_MS) == 1 &&
	    (n = read(out, said + length, size - 1 - length)) > 0)
		length += (size_t)n;
	said[length] = '\0';
	if (n != 0) {
		kill(pid, SIGKILL);
		snprintf(said + length, size - length, "%sno end within %d s", length == 0 ? "" : ", ", SELF_TEST_MS / 1000);
	}
	close(out);
	waitpid(pid, &status, 0);
	return n == 0 && WIFEXITED(status) && WEXITSTATUS(status) == 42;
}

/* Is a word of one line also in the same place of the other? */
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
 * Two children run selftest.js, which ends with exit code 42 and says random numbers. Returns false in a child; in the
 * zygote true, with what failed in `error` if something did.
 */
static bool
self_test(char *error, size_t size)
{
	char said[2][512];

	for (int i = 0; i < 2; i++) {
		int out = -1;
		pid_t pid = fork_to_test(&out);

		if (pid == 0) {
			after_fork();
			engine->begin(NULL, 0);
			return false;
		}
		if (pid < 0) {
			snprintf(error, size, "self-test: cannot fork: %s", strerror(errno));
			return true;
		}
		if (!wait_for_test(pid, out, said[i], sizeof said[i])) {
			said[i][strcspn(said[i], "\n")] = '\0';
			snprintf(error, size, "self-test: %.150s", said[i][0] == '\0' ? "a child ended at once" : said[i]);
			return true;
		}
	}
	if (share_word(said[0], said[1]))
		snprintf(error, size, "self-test: random numbers are the same in two children");
	return true;
}

/* ---- zygote and guest ------------------------------------------------------------------------------------------- */

static void
fail(const char *version, const char *text)
{
	zygote_report(1, version, text);
	_exit(1);
}

/*
 * Node's streams are made once, in the zygote, on a pipe, since a run has pipes. When all is warm there is nobody behind
 * them any more. Returns the descriptor of the log.
 */
static int
hold_streams(int *reader)
{
	int pipes[2], log = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);

	if (log < 0 || pipe2(pipes, O_CLOEXEC) != 0 || dup2(pipes[1], STDOUT_FILENO) < 0 || dup2(pipes[1], STDERR_FILENO) < 0)
		fail("", "cannot make a pipe");
	close(pipes[1]);
	*reader = pipes[0];
	return log;
}

static void
let_go_of_streams(int log, int reader)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 || dup2(null, STDERR_FILENO) < 0)
		fail("", "cannot open /dev/null");
	close(null);
	close(reader);
	close(log);
}

/* A descriptor that a guest made for itself is close-on-exec, as libuv makes them all; one of the zygote's is not. */
static void
mark_descriptors(void)
{
	for (int fd = ZYGOTE_REQUESTS_FD + 1; fd < FD_MAX; fd++)
		fcntl(fd, F_SETFD, 0);
}

/* Close what libuv's other loops in the zygote had open, and keep what this guest's own loop has opened. */
static void
sort_descriptors(void)
{
	for (int fd = ZYGOTE_REQUESTS_FD + 1; fd < FD_MAX; fd++) {
		int flags = fcntl(fd, F_GETFD);

		if (flags < 0)
			continue;
		if ((flags & FD_CLOEXEC) == 0)
			close(fd);
		else
			guest_keep_fd(fd);
	}
}

/* Load engine.cc for this Node, and have it prepare. Returns the version. */
static const char *
prepare(void)
{
	char error[192] = "";
	char path[64];
	char *imports;
	void *library;

	if (zygote_read_setup(&imports) != 0)
		fail("", "malformed zygote setup");
	snprintf(path, sizeof path, PATH_BOX "/engine.so");
	library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	engine = library == NULL ? NULL : dlsym(library, ENGINE_SYMBOL);
	if (engine == NULL) {
		snprintf(error, sizeof error, "%.180s", dlerror());
		fail("", error);
	}
	/* Every guest is pid 2 of its namespace, and OpenSSL knows a fork by its changed pid. */
	if (getpid() == 2)
		fail(engine->version(), "a zygote must not be pid 2");
	if (!engine->prepare(DRIVER_FILE, imports, zygote_setup.imports, error, sizeof error))
		fail(engine->version(), error);
	free(imports);
	if (!engine->search_heap(heap_start, sbrk(0), zygote_seed))
		fail(engine->version(), "cannot find V8's random number generator");
	return engine->version();
}

/* A file without a name that holds `text`. */
static int
memory_file(const char *text, size_t size)
{
	int fd = memfd_create("main", MFD_CLOEXEC);

	if (fd < 0)
		_exit(127);
	while (size > 0) {
		ssize_t n = write(fd, text, size);

		if (n <= 0)
			_exit(127);
		text += n;
		size -= (size_t)n;
	}
	lseek(fd, 0, SEEK_SET);
	return fd;
}

/* May this be an ES module? */
static bool
may_be_module(const char *text, size_t size)
{
	return memmem(text, size, "import", 6) != NULL || memmem(text, size, "export", 6) != NULL ||
	    memmem(text, size, "await", 5) != NULL;
}

/* The text of the program: the preload, a newline, and the code; or just the code. */
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
		_exit(127);
	memcpy(text, code + head->code_bytes, head->preload_bytes);
	text[head->preload_bytes] = '\n';
	memcpy(text + head->preload_bytes + 1, code, head->code_bytes);
	return text;
}

/* The guest, from its job until Node has the program. Returns an open file. */
static int
begin_run(int job_fd)
{
	struct job_header head;
	size_t job_size, size;
	const char *code = guest_map_job(job_fd, &head, &job_size);
	const char *args = code + head.code_bytes + head.preload_bytes, *env = args + head.args_bytes;
	const char *text = program_text(&head, code, &size);
	int fd = -1;

	/* Each is ended by a NUL; the worker has seen to it. */
	for (uint32_t i = 0; i < head.envc && env < code - sizeof head + job_size; i++, env += strlen(env) + 1)
		putenv(strdup(env));
	if (head.envc > 0)
		engine->environment_changed();
	engine->begin(args, head.argc);
	if (may_be_module(text, size) && engine->is_module(text, size) && guest_write_file(MODULE_FILE, text, size)) {
		engine->run_module(MODULE_FILE);
		fd = memory_file("", 0);
	}
	if (fd < 0)
		fd = guest_write_file(MAIN_FILE, text, size) ? (int)syscall(SYS_openat, AT_FDCWD, MAIN_FILE, O_RDONLY | O_CLOEXEC) :
		    memory_file(text, size);
	if (text != code)
		free((void *)text);
	munmap((void *)(code - sizeof head), job_size);
	return fd;
}

/* Node opens its program. Returns what open(2) is to return. */
static int
serve(int flags)
{
	int reader, log;
	const char *version;
	char error[192] = "";

	is_served = true;
	log = hold_streams(&reader);
	version = prepare();
	unsetenv("UV_USE_IO_URING");
	engine->settle();
	if (!self_test(error, sizeof error))
		return (int)syscall(SYS_openat, AT_FDCWD, SELF_TEST_FILE, flags);
	if (error[0] != '\0')
		fail(version, error);
	let_go_of_streams(log, reader);
	if (zygote_wall_in(true) != 0) {
		snprintf(error, sizeof error, "walls: %s", strerror(errno));
		fail(version, error);
	}
	mark_descriptors();
	engine->settle();
	memory_fill_heap();
	if (zygote_setup.huge_pages != 0)
		memory_use_huge_pages();
	zygote_report(0, version, "");
	zygote_make_guests();
	after_fork();
	sort_descriptors();
	engine->rehearse();
	guest_report_ready();
	return begin_run(guest_receive_run());
}

/* Cells have no /proc. Node wants one thing of it, for process.memoryUsage(): the resident pages. Here, their peak. */
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

/* Called by Node as the program is opened, and for every other file, from any thread. */
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
