/*
 * collect_test.c - the files that a run has left: the patterns, trees of all kinds, and what a
 * worker makes of the collector's memory.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "collected.h"
#include "collection.h"
#include "memfd.h"
#include "sealed_memfd.h"
#include "warden/collect.h"
#include "warden/collect_pattern.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* ---- patterns --------------------------------------------------------------------------------------------------- */

static void
test_patterns(void **state)
{
	static const struct {
		const char *pattern, *path;
		bool matches;
	} cases[] = {
		{ "a", "a", true },
		{ "a", "b", false },
		{ "a", "a/b", false },
		{ "a/b", "a/b", true },
		{ "a/b", "a", false },
		{ "*", "a", true },
		{ "*", "a/b", false },
		{ "*", ".a", false },
		{ ".*", ".a", true },
		{ "*.png", "a.png", true },
		{ "*.png", ".png", false },
		{ "*.png", "d/a.png", false },
		{ "?.c", "a.c", true },
		{ "?.c", "ab.c", false },
		{ "[a-c]x", "bx", true },
		{ "[a-c]x", "dx", false },
		{ "[!a-c]x", "dx", true },
		{ "[!a-c]x", "ax", false },
		{ "[]x]", "]", true },
		{ "[]x]", "x", true },
		{ "[a", "[a", true },
		{ "[a", "a", false },
		{ "[]", "[]", true },
		{ "[.]a", ".a", false },
		{ "?a", ".a", false },
		{ "a*b*c", "axbybc", true },
		{ "a*b*c", "axbyb", false },
		{ "**", "a", true },
		{ "**", "a/b/c", true },
		{ "**", "a/.b/c", false },
		{ "**", "a/b/.c", false },
		{ "out/**", "out/a", true },
		{ "out/**", "out/a/b", true },
		{ "out/**", "out", false },
		{ "out/**", "x/out/a", false },
		{ "**/*.py", "a.py", true },
		{ "**/*.py", "d/e/a.py", true },
		{ "**/*.py", "d/.e/a.py", false },
		{ "**/.e/*.py", "d/.e/a.py", true },
		{ "a/**/b", "a/b", true },
		{ "a/**/b", "a/x/y/b", true },
		{ "a/**/b", "a/x/y/c", false },
		{ "a/**/b/c", "a/b/b/c", true },
		{ "a/**/b/c", "a/b/x/b/c", true },
		{ "**/**/x", "a/x", true },
		{ "**/**", "a", true },
		{ "a**", "abc", true },
		{ "a**", "a/b", false },
		{ "**a/b", "xa/b", true },
		{ "", "a", false },
		{ "a/*/c", "a/b/c", true },
		{ "a/*/c", "a/c", false },
		{ "\xff*", "\xff\xfe", true },
		{ "[\x80-\xff]", "\xc3", true },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		if (collect_pattern_matches(cases[i].pattern, cases[i].path) != cases[i].matches)
			fail_msg("%s, %s", cases[i].pattern, cases[i].path);
	}
}

static void
test_directories(void **state)
{
	static const struct {
		const char *pattern, *path;
		bool leads, names;
	} cases[] = {
		{ "a", "a", false, false },
		{ "a/b", "a", true, true },
		{ "a/b", "b", false, false },
		{ "*/b", "x", true, true },
		{ "*/b", ".x", false, false },
		{ "**", "x", true, false },
		{ "**", ".x", false, false },
		{ "a/**", "a", true, true },
		{ "a/**", "a/x/y", true, false },
		{ "a/**", "b", false, false },
		{ "**/.x/y", ".x", true, false },
		{ "a/b/c", "a/b", true, true },
		{ "a/b/c", "a/b/c", false, false },
		{ "a/b/c", "a/x", false, false },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		if (collect_pattern_leads_below(cases[i].pattern, cases[i].path) != cases[i].leads)
			fail_msg("leads: %s, %s", cases[i].pattern, cases[i].path);
		if (collect_pattern_names(cases[i].pattern, cases[i].path) != cases[i].names)
			fail_msg("names: %s, %s", cases[i].pattern, cases[i].path);
	}
}

/* A pattern that takes a matcher that tries everything longer than the test may last. */
static void
test_stars(void **state)
{
	char pattern[1025] = "", path[1025];

	(void)state;
	for (size_t i = 0; i < 250; i++)
		strcat(pattern, "a*");
	strcat(pattern, "b");
	memset(path, 'a', 1024);
	path[1024] = '\0';
	assert_false(collect_pattern_matches(pattern, path));
	pattern[0] = '\0';
	for (size_t i = 0; i < 200; i++)
		strcat(pattern, "**/a/");
	strcat(pattern, "b");
	for (size_t i = 0; i < 1024; i++)
		path[i] = i % 2 == 0 ? 'a' : '/';
	path[1023] = '\0';
	assert_false(collect_pattern_matches(pattern, path));
}

/* ---- trees ------------------------------------------------------------------------------------------------------ */

static char place[64];
static int box_fd;
static struct collected collected;
static struct collect_form form = { .content_bytes = UINT64_MAX };

static int
set_up(void **state)
{
	(void)state;
	strcpy(place, "/tmp/collect_test.XXXXXX");
	if (mkdtemp(place) == NULL)
		return -1;
	box_fd = open(place, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return box_fd < 0 ? -1 : chdir(place);
}

static int
tear_down(void **state)
{
	char command[2 * sizeof place + 32];

	(void)state;
	collected_release(&collected);
	close(box_fd);
	snprintf(command, sizeof command, "chmod -R u+rwx %s; rm -rf %s", place, place);
	return chdir("/") != 0 || system(command) != 0 ? -1 : 0;
}

static void
write_file(const char *path, const char *content, size_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, content, size), size);
	close(fd);
}

/* Collect by patterns, which end in a NUL each, and take the files. */
static void
collect(const char *patterns, size_t size, uint64_t most)
{
	struct run_request request = { .collect = { (char *)patterns, size, 0 } };
	int request_fd;

	for (size_t i = 0; i < size; i++)
		request.collect.count += patterns[i] == '\0';
	request_fd = memfd_patterns(&request);
	assert_true(request_fd >= 0);
	collected_release(&collected);
	collected_take(&collected, collect_files(box_fd, request_fd, most), &form);
	close(request_fd);
}

#define COLLECT(patterns) collect(patterns, sizeof(patterns), 1 << 20)

static void
assert_file(size_t at, const char *path, const char *content, size_t size)
{
	const struct collected_file *file = &collected.file[at];

	assert_true(at < collected.count);
	assert_int_equal(file->path.size, strlen(path));
	assert_memory_equal(file->path.bytes, path, strlen(path));
	assert_null(file->reason);
	assert_int_equal(file->content.size, size);
	assert_memory_equal(file->content.bytes, content, size);
}

static void
assert_reason(size_t at, const char *path, const char *reason)
{
	const struct collected_file *file = &collected.file[at];

	assert_true(at < collected.count);
	assert_int_equal(file->path.size, strlen(path));
	assert_memory_equal(file->path.bytes, path, strlen(path));
	if (file->reason == NULL)
		fail_msg("%s: was collected", path);
	assert_string_equal(file->reason, reason);
	assert_int_equal(file->content.size, 0);
}

static void
test_files(void **state)
{
	(void)state;
	assert_int_equal(mkdir("out", 0755), 0);
	assert_int_equal(mkdir("out/deep", 0755), 0);
	write_file("a.png", "\x89PNG\r\n\x1a\n", 8);
	write_file("b.txt", "caf\xc3\xa9\n", 6);
	write_file("out/c.csv", "1,2\n", 4);
	write_file("out/deep/d", "x\0y", 3);
	write_file("out/.hidden", "h", 1);
	write_file("empty", "", 0);
	COLLECT("*.png\0out/**\0empty");
	assert_int_equal(collected.count, 4);
	assert_null(collected.incomplete);
	assert_file(0, "a.png", "\x89PNG\r\n\x1a\n", 8);
	assert_string_equal(collected.file[0].mime, "image/png");
	assert_false(collected.file[0].is_text);
	assert_file(1, "empty", "", 0);
	assert_string_equal(collected.file[1].sha256, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	assert_file(2, "out/c.csv", "1,2\n", 4);
	assert_string_equal(collected.file[2].mime, "text/csv");
	assert_true(collected.file[2].is_text);
	assert_file(3, "out/deep/d", "x\0y", 3);
	assert_string_equal(collected.file[3].mime, "application/octet-stream");
	COLLECT("**/b*");
	assert_int_equal(collected.count, 1);
	assert_string_equal(collected.file[0].mime, "text/plain");
	COLLECT("none");
	assert_int_equal(collected.count, 0);
	assert_true(collected.was_asked);
	assert_null(collected.incomplete);
}

/* The files that go into the store, and those that are in the reply. */
static void
test_forms(void **state)
{
	(void)state;
	write_file("a", "12", 2);
	write_file("b.csv", "1,2\n", 4);
	write_file("c", "3", 1);
	form = (struct collect_form){ .content_bytes = 3, .can_store = true };
	COLLECT("*");
	assert_int_equal(collected.count, 3);
	assert_file(0, "a", "12", 2);
	assert_false(collected.file[0].is_for_store);
	assert_file(1, "b.csv", "1,2\n", 4);
	assert_true(collected.file[1].is_for_store);
	assert_string_equal(collected.file[1].mime, "text/csv");
	assert_file(2, "c", "3", 1);
	assert_false(collected.file[2].is_for_store);
	assert_true(collected.fd > 2);
	form.as_id = true;
	COLLECT("*");
	for (size_t i = 0; i < 3; i++)
		assert_true(collected.file[i].is_for_store);
	/* A file that was cut is not the file. */
	collect("*", 2, 3);
	assert_int_equal(collected.count, 3);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(collected.file[i].is_for_store, collected.file[i].content.size == collected.file[i].size);
	/* Without a store, a file that does not fit is cut. */
	form = (struct collect_form){ .content_bytes = 3 };
	COLLECT("*");
	assert_file(1, "b.csv", "1", 1);
	assert_int_equal(collected.file[1].size, 4);
	assert_file(2, "c", "", 0);
	assert_int_equal(collected.fd, -1);
	form = (struct collect_form){ .content_bytes = UINT64_MAX };
}

static void
test_strange_files(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "socket" };
	int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool is_root = geteuid() == 0;

	(void)state;
	assert_int_equal(bind(sock, (struct sockaddr *)&address, sizeof address), 0);
	close(sock);
	assert_int_equal(symlink("/etc/passwd", "link"), 0);
	assert_int_equal(symlink("nowhere", "broken"), 0);
	assert_int_equal(symlink("/etc", "out"), 0);
	assert_int_equal(symlink(".", "self"), 0);
	assert_int_equal(mkfifo("pipe", 0600), 0);
	write_file("shut", "secret", 6);
	assert_int_equal(chmod("shut", 0), 0);
	assert_int_equal(mkdir("shut_d", 0700), 0);
	write_file("shut_d/x", "secret", 6);
	assert_int_equal(chmod("shut_d", 0), 0);
	write_file("bad\xff", "x", 1);
	COLLECT("*\0out/**\0shut_d/*");
	assert_int_equal(collected.count, 9);
	assert_reason(0, "bad\xff", "name");
	assert_reason(1, "broken", "symlink");
	assert_reason(2, "link", "symlink");
	assert_reason(3, "out", "symlink");
	assert_reason(4, "pipe", "fifo");
	assert_reason(5, "self", "symlink");
	if (!is_root) { /* which may read everything */
		assert_reason(6, "shut", "unreadable");
		assert_reason(7, "shut_d", "unreadable");
	}
	assert_reason(8, "socket", "socket");
}

static void
test_bounds(void **state)
{
	char name[32];
	int fd;

	(void)state;
	write_file("a", "12345678", 8);
	collect("*", 2, 8);
	assert_file(0, "a", "12345678", 8);
	collect("*", 2, 5);
	assert_file(0, "a", "12345", 5);
	assert_int_equal(collected.file[0].size, 8);
	fd = open("sparse", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	assert_int_equal(ftruncate(fd, (off_t)1 << 40), 0);
	close(fd);
	collect("sparse", 7, 100000);
	assert_int_equal(collected.count, 1);
	assert_true(collected.file[0].size == UINT64_C(1) << 40);
	assert_int_equal(collected.file[0].content.size, 100000);
	for (int i = 0; i < COLLECT_FILES_MOST; i++) {
		snprintf(name, sizeof name, "f%d", i);
		write_file(name, "", 0);
	}
	COLLECT("f*");
	assert_int_equal(collected.count, COLLECT_FILES_MOST);
	assert_null(collected.incomplete);
	COLLECT("*");
	assert_int_equal(collected.count, COLLECT_FILES_MOST);
	assert_string_equal(collected.incomplete, "files");
}

/* Make a directory in `dir`, which is closed unless it is AT_FDCWD. Returns it, opened. */
static int
make_below(int dir, const char *name)
{
	int made;

	assert_int_equal(mkdirat(dir, name, 0755), 0);
	made = openat(dir, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_true(made >= 0);
	if (dir != AT_FDCWD)
		close(dir);
	return made;
}

static void
test_depth(void **state)
{
	int dir = AT_FDCWD;

	(void)state;
	for (int i = 0; i < 1000; i++)
		dir = make_below(dir, "d");
	close(dir);
	COLLECT("**");
	assert_int_equal(collected.count, 1);
	assert_string_equal(collected.file[0].reason, "too_deep");
	assert_int_equal(collected.file[0].path.size, 2 * (COLLECT_DEPTH_MOST + 1) - 1);
	/* A path that is too long before it is too deep. */
	assert_int_equal(mkdir("long", 0755), 0);
	dir = open("long", O_PATH | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; i < 5; i++) {
		char name[256];

		memset(name, 'n', 255);
		name[255] = '\0';
		dir = make_below(dir, name);
	}
	close(dir);
	COLLECT("long/**");
	assert_int_equal(collected.count, 1);
	assert_string_equal(collected.file[0].reason, "too_deep");
}

/* ---- a collector that was taken over ---------------------------------------------------------------------------- */

static void
take_bytes(const void *bytes, size_t size, bool is_sealed)
{
	struct iovec iov = { (void *)bytes, size };
	int fd = is_sealed ? sealed_memfd_make("t", SEALED_MEMFD_DATA, &iov, 1) : sealed_memfd_begin("t", SEALED_MEMFD_DATA);

	if (!is_sealed)
		assert_int_equal(write(fd, bytes, size), size);
	collected_take(&collected, fd, &form);
}

static void
assert_failed(const void *bytes, size_t size)
{
	take_bytes(bytes, size, true);
	assert_true(collected.was_asked);
	assert_int_equal(collected.count, 0);
	assert_string_equal(collected.incomplete, "service");
}

static void
test_lies(void **state)
{
	struct __attribute__((packed)) {
		struct collect_result head;
		struct collect_file file;
		char path[2], content[3];
	} good = { { COLLECT_MAGIC, 1, 0, 0 }, { COLLECT_FILE, 2, 3, 3 }, "ab", "xyz" }, bad;

	(void)state;
	take_bytes(&good, sizeof good, true);
	assert_file(0, "ab", "xyz", 3);
	collected_release(&collected);
	for (size_t size = 1; size < sizeof good; size++)
		assert_failed(&good, size);
	take_bytes(&good, sizeof good, false);
	assert_string_equal(collected.incomplete, "service");
	collected_take(&collected, -1, &form);
	assert_string_equal(collected.incomplete, "service");
#define LIE(field, value) (bad = good, bad.field = (value), assert_failed(&bad, sizeof bad))
	LIE(head.magic, 0);
	LIE(head.files, 2);
	LIE(head.files, UINT32_MAX);
	LIE(head.end, COLLECT_ENDS);
	LIE(file.kind, COLLECT_KINDS);
	LIE(file.path_bytes, 0);
	LIE(file.path_bytes, UINT32_MAX);
	LIE(file.content_bytes, 4);
	LIE(file.content_bytes, UINT64_MAX);
	LIE(file.size, 2);
}

/* ---- a worker that was taken over ------------------------------------------------------------------------------- */

static void
test_bad_requests(void **state)
{
	struct __attribute__((packed)) {
		struct collect_request head;
		char patterns[4];
	} good = { { COLLECT_MAGIC, 2, 4, 0 }, "a\0b" }, bad;
	int fd;

	(void)state;
#define ASK(bytes, size) \
	do { \
		struct iovec iov = { (void *)(bytes), (size) }; \
		int request_fd = sealed_memfd_make("t", SEALED_MEMFD_DATA, &iov, 1); \
		fd = collect_files(box_fd, request_fd, 10); \
		close(request_fd); \
	} while (0)
	ASK(&good, sizeof good);
	assert_true(fd >= 0);
	close(fd);
	for (size_t size = 0; size < sizeof good; size++) {
		ASK(&good, size);
		assert_int_equal(fd, -1);
	}
#define LIE_ASK(field, value) \
	do { \
		bad = good; \
		bad.field = (value); \
		ASK(&bad, sizeof bad); \
		assert_int_equal(fd, -1); \
	} while (0)
	LIE_ASK(head.magic, 1);
	LIE_ASK(head.patterns, 0);
	LIE_ASK(head.patterns, 1);
	LIE_ASK(head.patterns, 3);
	LIE_ASK(head.patterns, UINT32_MAX);
	LIE_ASK(head.bytes, UINT64_MAX);
	LIE_ASK(patterns[3], 'x');
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_patterns),
		cmocka_unit_test(test_directories),
		cmocka_unit_test(test_stars),
		cmocka_unit_test_setup_teardown(test_files, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_forms, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_strange_files, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_bounds, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_depth, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_lies, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_bad_requests, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
