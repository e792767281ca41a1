/*
 * request_files_test.c - the files of a run, from the field of the request to the files in the
 * working directory of a guest.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base64.h"
#include "guest/guest.h"
#include "guest/job_files.h"
#include "memfd.h"
#include "request.h"
#include "request_config.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define PART "\"language\":\"python3\",\"code\":\"x\",\"limits\":{\"disk_bytes\":100000,\"inodes\":500},\"files\":"

static struct run_request request;
static struct http_error error;

static int
parse(const char *files)
{
	char *body;
	int result;

	assert_true(asprintf(&body, "{%s%s}", PART, files) > 0);
	memset(&error, 0, sizeof error);
	result = request_parse(&config, body, strlen(body), &request, &error);
	free(body);
	return result;
}

static void
accept(const char *files)
{
	if (parse(files) != 0)
		fail_msg("%s: %s", files, error.text);
}

static void
refuse(const char *files, const char *text)
{
	if (parse(files) == 0)
		fail_msg("%s: was accepted", files);
	if (strcmp(error.text, text) != 0)
		fail_msg("%s: \"%s\" instead of \"%s\"", files, error.text, text);
	assert_int_equal(error.status, 400);
}

static void
assert_file(size_t at, const char *path, const char *content, size_t size, bool is_executable)
{
	const struct request_file *file = &request.files.file[at];

	assert_string_equal(file->path.bytes, path);
	assert_int_equal(file->path.size, strlen(path));
	assert_int_equal(file->content.size, size);
	if (size > 0)
		assert_memory_equal(file->content.bytes, content, size);
	assert_int_equal(file->is_executable, is_executable);
}

static void
test_list(void **state)
{
	(void)state;
	accept("[{\"path\":\"a.txt\",\"content\":\"caf\xc3\xa9\\u0000\"},"
	       "{\"path\":\"d/e/b\",\"content\":\"AAH/\",\"encoding\":\"base64\",\"executable\":true},"
	       "{\"path\":\"d/e.c\",\"content\":\"\",\"encoding\":\"utf-8\",\"id\":null,\"executable\":false},"
	       "{\"path\":\"d/empty\",\"content\":\"\",\"encoding\":\"base64\",\"unknown\":1}]");
	assert_int_equal(request.files.count, 4);
	assert_int_equal(request.files.bytes, 9);
	assert_file(0, "a.txt", "caf\xc3\xa9\0", 6, false);
	assert_file(1, "d/e/b", "\0\1\xff", 3, true);
	assert_file(2, "d/e.c", "", 0, false);
	assert_file(3, "d/empty", "", 0, false);
	request_free(&request);
	assert_int_equal(request.files.count, 0);
	request_free(&request);
}

static void
test_object(void **state)
{
	(void)state;
	accept("{\"a.txt\":\"one\",\"d/sha256:x\":\"sha256:12\"}");
	assert_int_equal(request.files.count, 2);
	assert_file(0, "a.txt", "one", 3, false);
	assert_file(1, "d/sha256:x", "sha256:12", 9, false);
	request_free(&request);
	accept("{}");
	assert_int_equal(request.files.count, 0);
	request_free(&request);
}

static void
test_paths(void **state)
{
	static const struct {
		const char *path, *fault;
	} bad[] = {
		{ "", "must not be empty" },
		{ "/etc/passwd", "must be relative to the working directory" },
		{ "/", "must be relative to the working directory" },
		{ "..", "must not contain . or .. as a name" },
		{ ".", "must not contain . or .. as a name" },
		{ "a/../../b", "must not contain . or .. as a name" },
		{ "a/..", "must not contain . or .. as a name" },
		{ "./a", "must not contain . or .. as a name" },
		{ "a//b", "must not contain an empty name, nor end in /" },
		{ "a/", "must not contain an empty name, nor end in /" },
		{ "a\\u0000b", "must not contain a NUL character" },
		{ "1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18/19/20/21/22/23/24/25/26/27/28/29/30/31/32/33",
		    "must not lead through more than 31 directories" },
	};
	char text[2048], message[256], name[1100];

	(void)state;
	for (size_t i = 0; i < LENGTH(bad); i++) {
		snprintf(text, sizeof text, "[{\"path\":\"good\",\"content\":\"\"},{\"path\":\"%s\",\"content\":\"\"}]",
		    bad[i].path);
		snprintf(message, sizeof message, "files[1].path: %s", bad[i].fault);
		refuse(text, message);
	}
	memset(name, 'x', 256);
	name[256] = '\0';
	snprintf(text, sizeof text, "[{\"path\":\"%s\",\"content\":\"\"}]", name);
	refuse(text, "files[0].path: must not contain a name of more than 255 bytes");
	snprintf(text, sizeof text, "[{\"path\":\"%s\",\"content\":\"\"}]", name + 1);
	accept(text);
	request_free(&request);
	for (size_t i = 0; i < 1025; i++)
		name[i] = i % 200 == 199 ? '/' : 'x';
	name[1025] = '\0';
	snprintf(text, sizeof text, "[{\"path\":\"%s\",\"content\":\"\"}]", name);
	refuse(text, "files[0].path: must not be longer than 1024 bytes");
	refuse("{\"../x\":\"\"}", "files.../x: its path must not contain . or .. as a name");
}

static void
test_conflicts(void **state)
{
	static char main_file[] = "main.py", output[] = "main";

	(void)state;
	refuse("[{\"path\":\"a\",\"content\":\"\"},{\"path\":\"b\",\"content\":\"\"},{\"path\":\"a\",\"content\":\"\"}]",
	    "files[2].path: \"a\" is there twice");
	refuse("[{\"path\":\"a/b\",\"content\":\"\"},{\"path\":\"a.c\",\"content\":\"\"},{\"path\":\"a\",\"content\":\"\"}]",
	    "files[2].path: \"a\" is a directory of another file");
	refuse(
	    "[{\"path\":\"a/b/c\",\"content\":\"\"},{\"path\":\"a/b\",\"content\":\"\"},{\"path\":\"a/b\\u0001\",\"content\":\"\"}]",
	    "files[1].path: \"a/b\" is a directory of another file");
	accept("{\"a\":\"\",\"ab\":\"\",\"a.b\":\"\",\"b/a\":\"\",\"b/a.c\":\"\"}");
	request_free(&request);
	python.main_file = main_file;
	python.compile.output = output;
	refuse("{\"main.py\":\"\"}", "files[0].path: main.py is the name of the program, which is in code");
	refuse("{\"main.py/x\":\"\"}", "files[0].path: main.py is the name of the program, which is in code");
	refuse("{\"x\":\"\",\"main\":\"\"}", "files[1].path: main is the name of what the compiler makes");
	accept("{\"main.pyc\":\"\",\"x/main.py\":\"\"}");
	request_free(&request);
	python.main_file = python.compile.output = NULL;
}

static void
test_wrong_fields(void **state)
{
	static const char *const cases[][2] = {
		{ "1", "files: must be a list or an object" },
		{ "\"a\"", "files: must be a list or an object" },
		{ "[1]", "files[0]: must be an object with path and content" },
		{ "[null]", "files[0]: must be an object with path and content" },
		{ "[{}]", "files[0].path: is required" },
		{ "[{\"path\":null}]", "files[0].path: is required" },
		{ "[{\"path\":1}]", "files[0].path: must be a string" },
		{ "[{\"path\":\"a\"}]", "files[0].content: is required, unless there is an id" },
		{ "[{\"path\":\"a\",\"content\":1}]", "files[0].content: must be a string" },
		{ "[{\"path\":\"a\",\"content\":\"\",\"encoding\":\"hex\"}]",
		    "files[0].encoding: must be \"utf-8\" or \"base64\"" },
		{ "[{\"path\":\"a\",\"content\":\"\",\"encoding\":1}]", "files[0].encoding: must be \"utf-8\" or \"base64\"" },
		{ "[{\"path\":\"a\",\"content\":\"\",\"executable\":1}]", "files[0].executable: must be true or false" },
		{ "[{\"path\":\"a\",\"content\":\"\",\"id\":\"x\"}]", "files[0]: must have content or id, not both" },
		{ "{\"a\":1}", "files.a: must be a string, its content" },
		{ "{\"a\":null}", "files.a: must be a string, its content" },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++)
		refuse(cases[i][0], cases[i][1]);
}

static void
test_base64(void **state)
{
	static const char *const bad[] = { "A", "AA", "AAA", "AA=", "====", "A===", "AA=A", "A=AA", "AAAA=", "AAA=AAAA",
		"AB==", "AAB=", "AA\\nA", " AAA", "AA-_", "\\u0000AAA" };
	static const char bytes[] = "\0\1\2\375\376\377";

	(void)state;
	for (size_t i = 0; i < LENGTH(bad); i++) {
		char text[128];

		snprintf(text, sizeof text, "[{\"path\":\"a\",\"encoding\":\"base64\",\"content\":\"%s\"}]", bad[i]);
		refuse(text, "files[0].content: must be base64, with its padding and without spaces");
	}
	for (size_t size = 0; size <= 6; size++) {
		char text[BASE64_LENGTH(6)], back[6];

		base64_encode(bytes, size, text);
		assert_int_equal(base64_decode(text, BASE64_LENGTH(size), back), size);
		assert_memory_equal(back, bytes, size);
	}
}

static void
test_limits(void **state)
{
	char *text = malloc(200100);
	int at;

	(void)state;
	assert_non_null(text);
	at = sprintf(text, "{\"a\":\"");
	memset(text + at, 'x', 100000);
	strcpy(text + at + 100000, "\"}");
	accept(text);
	request_free(&request);
	strcpy(text + at + 100000, "y\"}");
	refuse(text, "files: have 100001 bytes together, and limits.disk_bytes is 100000");
	for (size_t count = 500; count <= 501; count++) {
		at = sprintf(text, "[");
		for (size_t i = 0; i < count; i++)
			at += sprintf(text + at, "%s{\"path\":\"%zu\",\"content\":\"\"}", i == 0 ? "" : ",", i);
		strcpy(text + at, "]");
		if (count > 500) {
			refuse(text, "files: must not be more than limits.inodes, 500");
		} else {
			accept(text);
			request_free(&request);
		}
	}
	free(text);
}

static void
test_collect(void **state)
{
	static const char *const cases[][2] = {
		{ "1", "collect: must be a list of patterns" },
		{ "{}", "collect: must be a list of patterns" },
		{ "[1]", "collect[0]: must be a string" },
		{ "[\"a\",\"../*\"]", "collect[1]: must not contain . or .. as a name" },
		{ "[\"/tmp/*\"]", "collect[0]: must be relative to the working directory" },
		{ "[\"a\\u0000\"]", "collect[0]: must not contain a NUL character" },
		{ "[\"\"]", "collect[0]: must not be empty" },
		{ "[\"a\"],\"collect_as\":\"id\"", "collect_as: must be \"content\"; this server keeps no files" },
	};
	static const char patterns[] = "*.png\0out/**";
	char text[512];

	(void)state;
	accept("[],\"collect\":[\"*.png\",\"out/**\"],\"collect_as\":\"content\"");
	assert_int_equal(request.collect.count, 2);
	assert_int_equal(request.collect.size, sizeof patterns);
	assert_memory_equal(request.collect.bytes, patterns, sizeof patterns);
	request_free(&request);
	accept("[],\"collect\":[]");
	assert_int_equal(request.collect.count, 0);
	request_free(&request);
	for (size_t i = 0; i < LENGTH(cases); i++) {
		snprintf(text, sizeof text, "[],\"collect\":%s", cases[i][0]);
		refuse(text, cases[i][1]);
	}
	strcpy(text, "[],\"collect\":[\"a\"");
	for (size_t i = 0; i < 64; i++)
		strcat(text, ",\"a\"");
	strcat(text, "]");
	refuse(text, "collect: must not be more than 64 patterns");
	config.collect_bytes = 0;
	refuse("[],\"collect\":[\"a\"]", "collect: this server returns no files");
	config.collect_bytes = 1 << 20;
}

/* `rest`: what stands behind the language. */
static int
parse_main(const char *rest)
{
	char body[512];

	snprintf(body, sizeof body, "{\"language\":\"python3\",%s}", rest);
	memset(&error, 0, sizeof error);
	return request_parse(&config, body, strlen(body), &request, &error);
}

static void
test_main(void **state)
{
	static const char *const cases[][2] = {
		{ "\"main\":\"b\",\"files\":{\"a\":\"1\"}", "main: \"b\" is none of the files" },
		{ "\"main\":\"a\"", "main: \"a\" is none of the files" },
		{ "\"main\":\"a\\u0000\",\"files\":{\"a\":\"1\"}", "main: \"a\" is none of the files" },
		{ "\"main\":1,\"files\":{\"a\":\"1\"}", "main: must be a string" },
		{ "\"main\":\"a\",\"code\":\"2\",\"files\":{\"a\":\"1\"}", "main: must not be there together with code" },
		{ "\"main\":\"a\",\"files\":{\"a\":\"\"}", "main: \"a\" must not be empty" },
		{ "\"main\":\"a\",\"preload\":\"2\",\"files\":{\"a\":\"1\"}", "preload: must not be there together with main" },
		{ "\"main\":\"o\",\"files\":{\"o\":\"1\"}", "files[0].path: o is the name of what the compiler makes" },
		{ "\"main\":\"b\",\"files\":{\"b\":\"1\"}",
		    "main: a program in python3 begins with the file main.py; give the file this name" },
	};
	static char main_file[] = "main.py", output[] = "o", other[] = "--main=main.py";
	static char *words[] = { other };

	(void)state;
	python.main_file = main_file;
	python.compile.output = output;
	/* Without a command the driver starts any file. */
	python.driver = main_file;
	assert_int_equal(parse_main("\"main\":\"d/a\",\"code\":\"\",\"files\":{\"d/a\":\"one\",\"main.py\":\"two\"}"), 0);
	assert_string_equal(request.main.bytes, "d/a");
	assert_int_equal(request.main.size, 3);
	assert_int_equal(request.code.size, 3);
	assert_memory_equal(request.code.bytes, "one", 3);
	assert_false(request.files.file[0].is_code);
	request_free(&request);
	assert_int_equal(parse_main("\"main\":\"main.py\",\"files\":{\"a\":\"one\",\"main.py\":\"two\"}"), 0);
	assert_int_equal(request.main.size, 0);
	assert_memory_equal(request.code.bytes, "two", 3);
	assert_true(request.files.file[1].is_code);
	request_free(&request);
	for (size_t i = 0; i < LENGTH(cases); i++) {
		/* For the last one there is a command, of which no word is the main file. */
		python.run = (struct strings){ words, i + 1 == LENGTH(cases) };
		if (parse_main(cases[i][0]) == 0)
			fail_msg("%s: was accepted", cases[i][0]);
		assert_string_equal(error.text, cases[i][1]);
	}
	words[0] = main_file;
	assert_int_equal(parse_main(cases[LENGTH(cases) - 1][0]), 0);
	request_free(&request);
	python.run = (struct strings){ NULL, 0 };
	python.driver = python.main_file = python.compile.output = NULL;
}

/* ---- in the guest ----------------------------------------------------------------------------------------------- */

/* The request's files, written by a guest into a new directory. Returns its descriptor. */
static int
write_files(const char *files, int *status)
{
	char place[] = "/tmp/request_files_test.XXXXXX";
	struct job_header head;
	size_t size;
	pid_t pid;
	int dir, fd;

	assert_non_null(mkdtemp(place));
	dir = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(dir >= 0);
	accept(files);
	fd = memfd_job(&request);
	assert_true(fd >= 0);
	request_free(&request);
	pid = fork();
	if (pid == 0) {
		const char *code;

		if (fchdir(dir) != 0)
			_exit(1);
		code = guest_map_job(fd, &head, &size);
		_exit(memcmp(code, "x", 1) != 0 || munmap((void *)(code - sizeof head), size) != 0);
	}
	assert_int_equal(waitpid(pid, status, 0), pid);
	close(fd);
	return dir;
}

static void
assert_written(int dir, const char *path, const char *content, size_t size, mode_t mode)
{
	char bytes[64];
	struct stat st;
	int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 0100, mode & 0100);
	assert_int_equal(read(fd, bytes, sizeof bytes), size);
	if (size > 0)
		assert_memory_equal(bytes, content, size);
	close(fd);
}

static void
remove_all(int dir)
{
	char command[64];

	snprintf(command, sizeof command, "cd /proc/self/fd/%d && rm -r \"$(pwd -P)\"", dir);
	assert_int_equal(fcntl(dir, F_SETFD, 0), 0);
	assert_int_equal(system(command), 0);
	close(dir);
}

static void
test_written(void **state)
{
	int status,
	    dir = write_files("[{\"path\":\"a\",\"content\":\"1\"},{\"path\":\"d/e/f\",\"content\":\"2\"},"
	                      "{\"path\":\"d/g\",\"content\":\"\",\"executable\":true},"
	                      "{\"path\":\"d/e/\xc3\xa9\",\"content\":\"AAH/\",\"encoding\":\"base64\"}]",
	        &status);

	(void)state;
	assert_int_equal(status, 0);
	assert_written(dir, "a", "1", 1, 0644);
	assert_written(dir, "d/e/f", "2", 1, 0644);
	assert_written(dir, "d/g", "", 0, 0755);
	assert_written(dir, "d/e/\xc3\xa9", "\0\1\377", 3, 0644);
	remove_all(dir);
}

/* More files than pwritev(2) takes at once. */
static void
test_many(void **state)
{
	char *text = malloc(1 << 20);
	int at = 0, status, dir;

	(void)state;
	assert_non_null(text);
	at = sprintf(text, "{");
	for (int i = 0; i < 400; i++)
		at += sprintf(text + at, "%s\"%d/%d\":\"%d\"", i == 0 ? "" : ",", i % 7, i, i);
	strcpy(text + at, "}");
	dir = write_files(text, &status);
	assert_int_equal(status, 0);
	assert_written(dir, "0/399", "399", 3, 0644);
	assert_written(dir, "0/0", "0", 1, 0644);
	remove_all(dir);
	free(text);
}

/* A job as no worker writes it. */
static void
test_malformed(void **state)
{
	struct {
		struct job_file head;
		char path[4];
		char content[4];
	} job = { { 4, 0, 4 }, "a/b", "1234" };
	struct job_file head;
	const char *path, *content;
	struct job_files files = { (const char *)&job, sizeof job };

	(void)state;
	assert_true(job_files_next(&files, &head, &path, &content));
	assert_string_equal(path, "a/b");
	assert_ptr_equal(content, job.content);
	assert_false(job_files_next(&files, &head, &path, &content));
	for (uint64_t left = 0; left < sizeof job; left++) {
		files = (struct job_files){ (const char *)&job, left };
		assert_false(job_files_next(&files, &head, &path, &content));
	}
	job.head.size = UINT64_MAX;
	files = (struct job_files){ (const char *)&job, sizeof job };
	assert_false(job_files_next(&files, &head, &path, &content));
	job.head = (struct job_file){ UINT32_MAX, 0, 0 };
	files = (struct job_files){ (const char *)&job, sizeof job };
	assert_false(job_files_next(&files, &head, &path, &content));
	job.head = (struct job_file){ 4, 0, 4 };
	job.path[1] = '\0'; /* a path that ends early */
	files = (struct job_files){ (const char *)&job, sizeof job };
	assert_false(job_files_next(&files, &head, &path, &content));
}

#define ID "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void
assert_next(struct job_files *files, const char *path, const char *content)
{
	const char *its_path, *its_content;
	struct job_file head;

	assert_true(job_files_next(files, &head, &its_path, &its_content));
	assert_string_equal(its_path, path);
	assert_int_equal(head.size, strlen(content));
	assert_memory_equal(its_content, content, head.size);
}

/* The job has the place of a stored file in the pack. */
static void
test_stored_job(void **state)
{
	struct job_files files;
	struct job_header head;
	struct job_packed packed;
	struct job_file file;
	const char *path, *content;
	struct stat st;
	char *map;
	int fd;

	(void)state;
	config.store_bytes = 1;
	accept("[{\"path\":\"a\",\"id\":\"" ID "\",\"executable\":true},{\"path\":\"b\",\"content\":\"here\"}]");
	assert_int_equal(request.files.stored, 1);
	request.files.file[0].stored_bytes = 6000000000;
	request.files.file[0].packed.at = 77;
	fd = memfd_job(&request);
	assert_true(fd >= 0);
	assert_true((fcntl(fd, F_GET_SEALS) & F_SEAL_WRITE) != 0);
	assert_int_equal(fstat(fd, &st), 0);
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	assert_true(map != MAP_FAILED);
	memcpy(&head, map, sizeof head);
	assert_int_equal(head.files, 2);
	files = guest_files(&head, map + sizeof head);
	assert_true(job_files_next(&files, &file, &path, &content));
	assert_string_equal(path, "a");
	assert_int_equal(file.flags, JOB_FILE_EXECUTABLE | JOB_FILE_PACKED);
	assert_int_equal(file.size, 6000000000);
	memcpy(&packed, content, sizeof packed);
	assert_int_equal(packed.at, 77);
	assert_next(&files, "b", "here");
	assert_int_equal(files.left, 0);
	munmap(map, (size_t)st.st_size);
	close(fd);
	request_free(&request);
	config.store_bytes = 0;
}

/* A guest writes a file of the pack, and nothing that is not in there. */
static void
test_pack(void **state)
{
	static const struct {
		uint64_t at, size;
		const char *content; /* NULL: the guest reports that the job is malformed */
	} cases[] = {
		{ 0, 6, "stored" },
		{ 3, 3, "red" },
		{ 6, 0, "" },
		{ 0, 7, NULL },
		{ 7, 0, NULL },
		{ 1, UINT64_MAX, NULL },
		{ UINT64_MAX, 2, NULL },
	};
	const struct job_pack pack = { "stored", 6 };

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct {
			struct job_file head;
			char path[4];
			struct job_packed packed;
		} __attribute__((packed)) job = { { 4, JOB_FILE_PACKED, cases[i].size }, "p/q", { cases[i].at } };
		char place[] = "/tmp/request_files_test.XXXXXX";
		int status, dir;
		pid_t pid;

		assert_non_null(mkdtemp(place));
		dir = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		pid = fork();
		if (pid == 0) {
			if (fchdir(dir) != 0)
				_exit(1);
			job_files_write((struct job_files){ (const char *)&job, sizeof job }, 1, &pack);
			_exit(0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(WEXITSTATUS(status), cases[i].content != NULL ? 0 : GUEST_FAILED);
		if (cases[i].content != NULL)
			assert_written(dir, "p/q", cases[i].content, cases[i].size, 0644);
		remove_all(dir);
	}
}

static void
test_ids(void **state)
{
	static const char *const bad[] = { "\"\"", "\"sha256:\"",
		"\"SHA256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"", "\"" ID "0\"", "\"" ID "\\u0000\"",
		"\"sha256:../../../../../../../../../../../../../../../../../../../../../etc/\"",
		"\"sha256:0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef\"" };
	char text[512];

	(void)state;
	refuse("[{\"path\":\"a\",\"id\":\"" ID "\"}]", "files[0].id: this server keeps no files; send the content instead");
	refuse("{\"a\":\"" ID "\"}", "files.a: this server keeps no files; send the content instead");
	config.store_bytes = 1;
	for (size_t i = 0; i < LENGTH(bad); i++) {
		snprintf(text, sizeof text, "[{\"path\":\"a\",\"id\":%s}]", bad[i]);
		refuse(text, "files[0].id: must be sha256: and 64 hexadecimal digits, in small letters");
	}
	refuse("[{\"path\":\"a\",\"id\":1}]", "files[0].id: must be a string");
	refuse("[{\"path\":\"a\",\"id\":\"" ID "\",\"content\":\"\"}]", "files[0]: must have content or id, not both");
	refuse("[{\"path\":\"a\"}]", "files[0].content: is required, unless there is an id");
	accept("{\"a\":\"" ID "\",\"b\":\"" ID "\",\"c\":\"sha256:1\"}");
	assert_int_equal(request.files.stored, 2);
	assert_string_equal(request.files.file[0].id, ID);
	assert_int_equal(request.files.file[0].content.size, 0);
	assert_null(request.files.file[2].id);
	request_free(&request);
	config.store_bytes = 0;
}

static void
test_forms_of_collection(void **state)
{
	(void)state;
	config.store_bytes = 1;
	config.collect_store_bytes = 1 << 21;
	accept("[],\"collect\":[\"a\"],\"collect_as\":\"id\"");
	assert_true(request.collect_form.as_id);
	assert_int_equal(request.collect_form.most_bytes, 1 << 21);
	request_free(&request);
	accept("[],\"collect\":[\"a\"]");
	assert_false(request.collect_form.as_id);
	assert_true(request.collect_form.can_store);
	assert_int_equal(request.collect_form.content_bytes, 1 << 20);
	request_free(&request);
	refuse("[],\"collect\":[\"a\"],\"collect_as\":\"\"", "collect_as: must be \"content\" or \"id\"");
	config.store_bytes = config.collect_store_bytes = 0;
	accept("[],\"collect\":[\"a\"]");
	assert_false(request.collect_form.can_store);
	assert_int_equal(request.collect_form.most_bytes, 1 << 20);
	request_free(&request);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_object),
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_conflicts),
		cmocka_unit_test(test_wrong_fields),
		cmocka_unit_test(test_base64),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_collect),
		cmocka_unit_test(test_main),
		cmocka_unit_test(test_ids),
		cmocka_unit_test(test_stored_job),
		cmocka_unit_test(test_pack),
		cmocka_unit_test(test_forms_of_collection),
		cmocka_unit_test(test_written),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_malformed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
