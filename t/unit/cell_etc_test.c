/* cell_etc_test.c - the /etc of cells: what is made, and that only public files are copied. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "kernel/public_copy.h"
#include "warden/cell_etc.h"

static char base[] = "/tmp/cell-etc-test-XXXXXX";
static int base_fd;
static char error[512];

static int
make_base(void **state)
{
	(void)state;
	strcpy(base + sizeof base - 7, "XXXXXX");
	if (mkdtemp(base) == NULL)
		return -1;
	base_fd = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return base_fd < 0 || mkdirat(base_fd, "from", 0755) != 0 || mkdirat(base_fd, "to", 0755) != 0 ? -1 : 0;
}

static int
remove_base(void **state)
{
	char command[64];

	(void)state;
	close(base_fd);
	snprintf(command, sizeof command, "rm -rf %s", base);
	return system(command);
}

static int
open_directory(const char *name)
{
	int fd = openat(base_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static void
make_file(const char *name, const char *text, mode_t mode)
{
	int fd = openat(base_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static void
make_directory(const char *name, mode_t mode)
{
	assert_int_equal(mkdirat(base_fd, name, 0700), 0);
	assert_int_equal(fchmodat(base_fd, name, mode, 0), 0);
}

/* The text of a file. The caller frees it. */
static char *
read_file(const char *name)
{
	int fd = openat(base_fd, name, O_RDONLY | O_CLOEXEC);
	char *text = calloc(1, 1 << 20);

	assert_non_null(text);
	assert_true(fd >= 0);
	assert_true(read(fd, text, (1 << 20) - 1) >= 0);
	close(fd);
	return text;
}

static void
assert_text(const char *name, const char *expected)
{
	char *text = read_file(name);

	assert_string_equal(text, expected);
	free(text);
}

static bool
exists(const char *name)
{
	struct stat st;

	return fstatat(base_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static int
copy(const char *path, struct public_copy left)
{
	int from = open_directory("from"), to = open_directory("to"), result;

	result = public_copy(from, to, path, &left);
	close(from);
	close(to);
	return result;
}

static const struct public_copy plenty = { .bytes = 1 << 20, .entries = 1000 };

static void
public_files_are_copied(void **state)
{
	struct stat st;
	char target[16] = "";

	(void)state;
	make_directory("from/a", 0755);
	make_directory("from/a/b", 0755);
	make_file("from/a/b/text", "hello", 0644);
	make_file("from/a/b/program", "#!", 0755);
	make_file("from/a/beside", "", 0644);
	assert_int_equal(symlinkat("nowhere", base_fd, "from/a/b/link"), 0);
	assert_int_equal(copy("a/b", plenty), 0);
	assert_text("to/a/b/text", "hello");
	assert_int_equal(fstatat(base_fd, "to/a/b/text", &st, 0), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0644);
	assert_int_equal(fstatat(base_fd, "to/a/b/program", &st, 0), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0755);
	assert_int_equal(readlinkat(base_fd, "to/a/b/link", target, sizeof target), 7);
	assert_false(exists("to/a/beside"));
	/* A file that is there already stays. */
	assert_int_equal(copy("a", plenty), 0);
	assert_true(exists("to/a/beside"));
	assert_int_equal(copy("missing", plenty), 0);
	assert_int_equal(copy("missing/below", plenty), 0);
}

static void
what_is_not_public_is_left_out(void **state)
{
	(void)state;
	make_directory("from/open", 0755);
	make_file("from/open/secret", "secret", 0640);
	make_file("from/open/others-write", "strange", 0602);
	make_directory("from/open/closed", 0750);
	make_file("from/open/closed/in", "secret", 0644);
	make_directory("from/open/no-list", 0711);
	make_file("from/open/no-list/in", "secret", 0644);
	assert_int_equal(mkfifoat(base_fd, "from/open/fifo", 0666), 0);
	assert_int_equal(copy("open", plenty), 0);
	assert_true(exists("to/open"));
	assert_false(exists("to/open/secret"));
	assert_false(exists("to/open/others-write"));
	assert_false(exists("to/open/closed"));
	assert_false(exists("to/open/no-list"));
	assert_false(exists("to/open/fifo"));
	/* Nor by its own name. */
	assert_int_equal(copy("open/secret", plenty), 0);
	assert_int_equal(copy("open/closed/in", plenty), 0);
	assert_false(exists("to/open/secret"));
	assert_false(exists("to/open/closed"));
}

static void
no_link_is_followed_on_the_way(void **state)
{
	(void)state;
	make_directory("from/real", 0755);
	make_file("from/real/file", "x", 0644);
	assert_int_equal(symlinkat("real", base_fd, "from/link"), 0);
	assert_int_equal(copy("link/file", plenty), 0);
	assert_false(exists("to/link"));
}

static void
there_is_a_bound(void **state)
{
	(void)state;
	make_directory("from/d", 0755);
	make_file("from/d/1", "12345", 0644);
	make_file("from/d/2", "12345", 0644);
	assert_int_equal(copy("d", (struct public_copy){ .bytes = 9, .entries = 9 }), -1);
	assert_int_equal(errno, EFBIG);
	assert_int_equal(copy("d", (struct public_copy){ .bytes = 10, .entries = 2 }), -1);
	assert_int_equal(errno, EFBIG);
}

static void
make(const struct config *config, bool single_uid)
{
	int to = open_directory("to");

	if (cell_etc_make(config, single_uid, to, error, sizeof error) != 0)
		fail_msg("%s", error);
	close(to);
}

static void
each_cell_has_a_user(void **state)
{
	const struct config config = { .level = LEVEL_NAMESPACES, .cells = 2 };

	struct stat st;

	(void)state;
	make(&config, false);
	assert_text("to/cells/1/passwd",
	    "root:x:0:0:root:/root:/bin/sh\n"
	    "user:x:2:2:user:/box:/bin/sh\n"
	    "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n");
	assert_text("to/cells/0/group", "root:x:0:\nuser:x:1:\nnogroup:x:65534:\n");
	assert_text("to/cells/1/group", "root:x:0:\nuser:x:2:\nnogroup:x:65534:\n");
	assert_false(exists("to/cells/2"));
	/* The place that each cell covers by its own. */
	assert_text("to/group", "root:x:0:\nuser:x:1:\nnogroup:x:65534:\n");
	/* No program may list them. */
	assert_int_equal(fstatat(base_fd, "to/cells", &st, 0), 0);
	assert_int_equal(st.st_mode, S_IFDIR | 0711);
	assert_text("to/hostname", "cellblock\n");
	assert_text("to/hosts", "127.0.0.1\tlocalhost\n127.0.1.1\tcellblock\n::1\tlocalhost ip6-localhost ip6-loopback\n");
	assert_false(exists("to/shadow"));
	assert_false(exists("to/resolv.conf"));
}

static void
users_at_level_chroot_are_the_containers(void **state)
{
	const struct config config = { .level = LEVEL_CHROOT, .cells = 2, .first_uid = 2000000 };
	char target[PATH_MAX] = "";

	(void)state;
	make(&config, false);
	assert_text("to/group", "root:x:0:\nuser:x:2000001:\nnogroup:x:65534:\n");
	assert_text("to/cells/1/group", "root:x:0:\nuser:x:2000002:\nnogroup:x:65534:\n");
	/* A link, which a warden replaces. */
	assert_int_equal(readlinkat(base_fd, "to/cell", target, sizeof target - 1), 7);
	assert_string_equal(target, "cells/0");
}

/* getpwuid(3) takes the first line that fits. */
static void
without_a_uid_cells_are_65534(void **state)
{
	const struct config config = { .level = LEVEL_NAMESPACES, .cells = 2 };

	(void)state;
	make(&config, true);
	assert_text("to/group", "root:x:0:\nuser:x:65534:\nnogroup:x:65534:\n");
}

static void
the_time_zone_is_the_configured_one(void **state)
{
	char zone[] = "Asia/Tokyo", nonsense[] = "Nowhere/At_All", directory[] = "Asia", path[] = "cellblock.conf";
	struct config config = { .timezone = zone, .path = path };
	char target[PATH_MAX] = "";

	(void)state;
	make(&config, false);
	assert_true(readlinkat(base_fd, "to/localtime", target, sizeof target - 1) > 0);
	assert_string_equal(target, "/usr/share/zoneinfo/Asia/Tokyo");
	assert_text("to/timezone", "Asia/Tokyo\n");
	if (access("/usr/share/zoneinfo/Asia/Tokyo", R_OK) == 0)
		assert_int_equal(cell_etc_check(&config, error, sizeof error), 0);
	config.timezone = nonsense;
	assert_int_equal(cell_etc_check(&config, error, sizeof error), -1);
	assert_non_null(strstr(error, "etc.timezone: /usr/share/zoneinfo/Nowhere/At_All"));
	config.timezone = directory;
	assert_int_equal(cell_etc_check(&config, error, sizeof error), -1);
	config.timezone = NULL;
	assert_int_equal(cell_etc_check(&config, error, sizeof error), 0);
}

static void
files_of_the_host_are_those_that_are_named(void **state)
{
	char shadow[] = "/etc/shadow*", passwd[] = "/etc/passwd*", services[] = "/etc/host.c*", missing[] = "/etc/no such file";
	char *items[] = { shadow, passwd, missing, services };
	const struct config config = { .cells = 1, .etc_files = { .item = items, .count = 4 } };

	(void)state;
	make(&config, false);
	assert_false(exists("to/shadow"));
	assert_false(exists("to/shadow-"));
	assert_text("to/group", "root:x:0:\nuser:x:1:\nnogroup:x:65534:\n");
	assert_int_equal(exists("to/host.conf"), access("/etc/host.conf", R_OK) == 0);
}

static void
failures_have_a_text(void **state)
{
	const struct config config = { .cells = 1 };
	int to = open_directory("to");

	(void)state;
	assert_int_equal(cell_etc_make(&config, false, to, error, sizeof error), 0);
	assert_int_equal(cell_etc_make(&config, false, to, error, sizeof error), -1);
	assert_string_equal(error, "make the cells' /etc: passwd and group: File exists");
	close(to);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, make_base, remove_base)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		EACH(public_files_are_copied),
		EACH(what_is_not_public_is_left_out),
		EACH(no_link_is_followed_on_the_way),
		EACH(there_is_a_bound),
		EACH(each_cell_has_a_user),
		EACH(users_at_level_chroot_are_the_containers),
		EACH(without_a_uid_cells_are_65534),
		EACH(the_time_zone_is_the_configured_one),
		EACH(files_of_the_host_are_those_that_are_named),
		EACH(failures_have_a_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
