/*
 * landlock_test.c - common/landlock.c: the accesses that Landlock denies and allows, without any
 * other layer.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "landlock.h"
#include "missing.h"

static char folder[] = "/tmp/cellblock-landlock-XXXXXX";
static int abi;
static pid_t test_pid;

static int
make_folder(void **state)
{
	(void)state;
	test_pid = getpid();
	abi = landlock_abi();
	if (mkdtemp(folder) == NULL || chdir(folder) != 0 || mkdir("mine", 0700) != 0 || mkdir("shown", 0700) != 0 ||
	    mkdir("hidden", 0700) != 0)
		return -1;
	for (const char *const *name = (const char *const[]){ "mine/a", "shown/a", "hidden/a", NULL }; *name != NULL; name++) {
		int fd = open(*name, O_WRONLY | O_CREAT, 0600);

		if (fd < 0)
			return -1;
		close(fd);
	}
	return 0;
}

static int
remove_folder(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof command, "rm -rf %s", folder);
	return system(command);
}

/* 0 or the errno of a call. */
#define OF(call) ((call) < 0 ? errno : 0)

static int
open_and_close(const char *path, int flags)
{
	int fd = open(path, flags, 0600), error = errno;

	if (fd < 0)
		return error;
	close(fd);
	return 0;
}

static int
connect_port(uint16_t port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int error = OF(connect(fd, (struct sockaddr *)&to, sizeof to));

	close(fd);
	return error;
}

static int
connect_tcp(void)
{
	return connect_port(1);
}

/* Connect to an abstract socket. */
static struct sockaddr_un abstract = { .sun_family = AF_UNIX };

static int
connect_abstract(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int error = OF(connect(fd, (struct sockaddr *)&abstract, sizeof abstract));

	close(fd);
	return error;
}

static int
ioctl_device(void)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC), columns;
	int error = OF(ioctl(fd, TIOCGWINSZ, &columns));

	close(fd);
	return error;
}

static int
truncate_shown(void)
{
	return OF(truncate("shown/a", 0));
}

static const struct attempt {
	const char *name;
	int (*carry_out)(void);
	int abi; /* the first ABI that denies it */
	int expected;
} refused_later[] = {
	{ "truncate a file that is only shown", truncate_shown, 3, EACCES },
	{ "connect by TCP", connect_tcp, 4, EACCES },
	{ "ioctl of a device", ioctl_device, 5, EACCES },
	{ "connect to an abstract socket", connect_abstract, 6, EPERM },
};

static void
check(int *failures, const char *name, int got, int expected)
{
	if (got == expected)
		return;
	fprintf(stderr, "%s: %s, but expected: %s\n", name, strerror(got), strerror(expected));
	++*failures;
}

/* With Landlock in force. Returns the number of attempts with an unexpected result. */
static int
behind_the_wall(unsigned flags)
{
	static const struct {
		const char *path;
		uint64_t allowed;
	} places[] = { { "mine", LANDLOCK_READ | LANDLOCK_WRITE | LANDLOCK_MAKE }, { "shown", LANDLOCK_READ },
		{ "/dev", LANDLOCK_READ | LANDLOCK_WRITE } };
	struct landlock_rule rules[3];
	int failures = 0;

	for (size_t i = 0; i < 3; i++)
		rules[i] = (struct landlock_rule){ .fd = open(places[i].path, O_PATH | O_CLOEXEC), .allowed = places[i].allowed };
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || landlock_enter(abi, flags, rules, 3) != 0)
		return 100;
	check(&failures, "write an own file", open_and_close("mine/a", O_WRONLY | O_TRUNC), 0);
	check(&failures, "make a file", open_and_close("mine/b", O_WRONLY | O_CREAT | O_EXCL), 0);
	check(&failures, "rename it", OF(rename("mine/b", "mine/c")), 0);
	check(&failures, "remove it", OF(unlink("mine/c")), 0);
	check(&failures, "make a directory", OF(mkdir("mine/d", 0700)), 0);
	check(&failures, "link to another directory", OF(link("mine/a", "mine/d/a")), abi >= 2 ? 0 : EXDEV);
	unlink("mine/d/a");
	check(&failures, "remove the directory", OF(rmdir("mine/d")), 0);
	check(&failures, "read a shown file", open_and_close("shown/a", O_RDONLY), 0);
	check(&failures, "write a device", open_and_close("/dev/null", O_WRONLY), 0);
	check(&failures, "write a shown file", open_and_close("shown/a", O_WRONLY), EACCES);
	check(&failures, "make a file beside it", open_and_close("shown/b", O_WRONLY | O_CREAT), EACCES);
	check(&failures, "remove it", OF(unlink("shown/a")), EACCES);
	check(&failures, "read a hidden file", open_and_close("hidden/a", O_RDONLY), EACCES);
	check(&failures, "list a hidden directory", open_and_close("hidden", O_RDONLY | O_DIRECTORY), EACCES);
	check(&failures, "read the password file", open_and_close("/etc/passwd", O_RDONLY), EACCES);
	check(&failures, "link a hidden file in", OF(link("hidden/a", "mine/h")), EXDEV);
	check(&failures, "rename a hidden file", OF(rename("hidden/a", "mine/h")), abi >= 2 ? EACCES : EXDEV);
	if (geteuid() == 0)
		check(&failures, "make a device", OF(mknod("mine/n", S_IFCHR | 0600, makedev(1, 3))), EACCES);
	check(&failures, "signal one outside", OF(kill(test_pid, 0)), abi >= 6 ? EPERM : 0);
	check(&failures, "signal oneself", OF(kill(getpid(), 0)), 0);
	for (size_t i = 0; i < sizeof refused_later / sizeof refused_later[0]; i++) {
		const struct attempt *a = &refused_later[i];
		int got = a->carry_out();

		if (abi >= a->abi)
			check(&failures, a->name, got, a->expected);
		else if (got == a->expected)
			check(&failures, a->name, got, 0);
	}
	return failures;
}

static int
in_a_child(int (*child)(unsigned), unsigned flags)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(child(flags));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void
test_wall(void **state)
{
	int listener;

	(void)state;
	if (missing(abi < 1, "the kernel has no Landlock"))
		return;
	snprintf(abstract.sun_path + 1, sizeof abstract.sun_path - 1, "%s", folder);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&abstract, sizeof abstract), 0);
	assert_int_equal(listen(listener, 8), 0); /* nothing accepts; before ABI 6 all attempts reach the backlog */
	assert_int_equal(connect_abstract(), 0);
	assert_int_equal(in_a_child(behind_the_wall, 0), 0);
	assert_int_equal(in_a_child(behind_the_wall, LANDLOCK_QUIET), 0);
	close(listener);
}

/* Without a rule no file can be accessed. TCP is allowed if that is asked for. */
static int
without_rules(unsigned flags)
{
	int failures = 0;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || landlock_enter(abi, flags, NULL, 0) != 0)
		return 100;
	check(&failures, "read the password file", open_and_close("/etc/passwd", O_RDONLY), EACCES);
	check(&failures, "connect by TCP", connect_tcp(), (flags & LANDLOCK_FREE_TCP) != 0 || abi < 4 ? ECONNREFUSED : EACCES);
	return failures;
}

static void
test_without_rules(void **state)
{
	(void)state;
	if (missing(abi < 1, "the kernel has no Landlock"))
		return;
	assert_int_equal(in_a_child(without_rules, 0), 0);
	assert_int_equal(in_a_child(without_rules, LANDLOCK_FREE_TCP), 0);
}

/* Allowed ports, and no others. */
static int
with_ports(unsigned flags)
{
	const struct landlock_rule rules[] = { { .port = 1 }, { .port = 7 } };
	int failures = 0;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || landlock_enter(abi, flags, rules, 2) != 0)
		return 100;
	check(&failures, "read the password file", open_and_close("/etc/passwd", O_RDONLY), EACCES);
	check(&failures, "connect to a port", connect_port(1), ECONNREFUSED);
	check(&failures, "connect to another", connect_port(7), ECONNREFUSED);
	check(&failures, "connect to one that is not allowed", connect_port(2), abi < 4 ? ECONNREFUSED : EACCES);
	return failures;
}

static void
test_ports(void **state)
{
	(void)state;
	if (missing(abi < 1, "the kernel has no Landlock"))
		return;
	assert_int_equal(in_a_child(with_ports, 0), 0);
}

/* A rule that the kernel rejects is an error, and nothing is in force. */
static int
refused_rule(unsigned flags)
{
	struct landlock_rule rule = { .fd = -1, .allowed = LANDLOCK_READ };

	(void)flags;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || landlock_enter(abi, 0, &rule, 1) != -1 || errno != EBADF)
		return 1;
	return open_and_close("/etc/passwd", O_RDONLY);
}

static void
test_refused_rule(void **state)
{
	(void)state;
	if (missing(abi < 1, "the kernel has no Landlock"))
		return;
	assert_int_equal(in_a_child(refused_rule, 0), 0);
}

static void
test_words(void **state)
{
	(void)state;
	assert_string_equal(landlock_offers(0), "nothing");
	assert_string_equal(landlock_offers(1), "files");
	assert_string_equal(landlock_offers(6), landlock_offers(99));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wall),
		cmocka_unit_test(test_without_rules),
		cmocka_unit_test(test_ports),
		cmocka_unit_test(test_refused_rule),
		cmocka_unit_test(test_words),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
