/*
 * request.c - the body of POST /v1/sandbox/run, from the untrusted bytes to the job that a guest
 * receives.
 */
#define _GNU_SOURCE
#include "request.h"
#include "request_tests.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"
#include "guest/guest.h"
#include "guest/job_files.h"
#include "job.h"
#include "json_text.h"
#include "memfd.h"
#include "store_proto.h"
#include "../unit/request_config.h"

/* The beginnings of the error messages. */
static const char *const subjects[] = { "body: ", "unsupported language \"",
	"language: ", "code: ", "preload: ", "stdin: ", "args: ", "args[", "env: ", "env.", "limits: ", "limits.",
	"enable_network: ", "network: ", "compiler_options: ", "files: ", "files[", "files.", "collect: ", "collect[",
	"collect_as: ", "main: ", "tests: ", "tests[", "stop_on: ", "test_output_bytes: ", "checker: ", "checker.",
	"interactor: ", "interactor." };

static void
check_refusal(const struct http_error *error, const struct run_request *request)
{
	char text[HTTP_ERROR_TEXT_SIZE * JSON_TEXT_MAX];
	size_t size = strnlen(error->text, sizeof error->text), used, length, i = 0;

	must(error->code == -400);
	must(error->status == 400 || (error->status == 200 && strncmp(error->text, "enable_network: ", 16) == 0));
	must(size < sizeof error->text);
	while (i < sizeof subjects / sizeof subjects[0] && strncmp(error->text, subjects[i], strlen(subjects[i])) != 0)
		i++;
	must(i < sizeof subjects / sizeof subjects[0]);
	length = json_text_escape(error->text, size, &used, text, sizeof text);
	must(used == size);
	must(fuzz_is_utf8(text, length));
	must(request->tree == NULL && request->args.bytes == NULL && request->env.bytes == NULL && request->files.file == NULL);
}

/* Check a block: the number of entries that it gives, each NUL-terminated. */
static void
check_block(const struct block *block)
{
	uint32_t count = 0;

	must((block->count == 0) == (block->bytes == NULL) && (block->count == 0) == (block->size == 0));
	for (size_t i = 0; i < block->size; i++)
		count += block->bytes[i] == '\0';
	must(count == block->count);
	must(count == 0 || block->bytes[block->size - 1] == '\0');
	must(block->size == 0 || fuzz_is_utf8(block->bytes, block->size));
}

static void
check_env(const struct block *env)
{
	for (size_t at = 0; at < env->size; at += strlen(env->bytes + at) + 1) {
		const char *entry = env->bytes + at;
		size_t name = strcspn(entry, "=");

		must(entry[name] == '=' && name > 0 && !isdigit((unsigned char)entry[0]));
		for (size_t i = 0; i < name; i++)
			must(isalnum((unsigned char)entry[i]) || entry[i] == '_');
		must(strncmp(entry, "LD_", 3) != 0 && strncmp(entry, "PYTHON", 6) != 0);
		must(strncmp(entry, "NODE_OPTIONS=", 13) != 0 && strncmp(entry, "BASH_ENV=", 9) != 0);
	}
}

/* A guest opens a file by the name of a package. */
static void
check_needs(const struct block *needs)
{
	bool is_name = true;

	must(needs->count % 2 == 0);
	for (size_t at = 0; at < needs->size; at += strlen(needs->bytes + at) + 1, is_name = !is_name) {
		const char *word = needs->bytes + at;

		must(!is_name || (isalnum((unsigned char)word[0]) || word[0] == '@' || word[0] == '_'));
		must(!is_name || strstr(word, "/.") == NULL);
	}
}

static void
check_text(const struct text *text)
{
	must(text->size == 0 || (text->bytes != NULL && fuzz_is_utf8(text->bytes, text->size)));
}

/* A guest ends so if its job is malformed. */
void __wrap__exit(int status) __attribute__((noreturn));
void
__wrap__exit(int status)
{
	(void)status;
	fuzz_fail(__FILE__, __LINE__, "a guest can read its job");
}

static const struct run_request *sent;

/* Check that the next file of the job is the one that was sent. */
static void
check_next(struct job_files *files, const struct request_file *file)
{
	struct job_file head;
	const char *path, *content;

	must(job_files_next(files, &head, &path, &content));
	must(head.path_bytes == file->path.size + 1 && memcmp(path, file->path.bytes, head.path_bytes) == 0);
	must(head.flags == ((file->is_executable ? JOB_FILE_EXECUTABLE : 0u) | (file->id != NULL ? JOB_FILE_PACKED : 0u)));
	must(head.size == (file->id != NULL ? file->stored_bytes : file->content.size));
	if (file->id == NULL)
		must(head.size == 0 || memcmp(content, file->content.bytes, head.size) == 0);
	else
		must(memcmp(content, &file->packed, sizeof file->packed) == 0);
}

/* In place of the guest's: check that it would write exactly what was sent, and where it may. */
void __wrap_job_files_write(struct job_files files, uint32_t count, const struct job_pack *pack);
void
__wrap_job_files_write(struct job_files files, uint32_t count, const struct job_pack *pack)
{
	must(pack->bytes == NULL && pack->size == 0);
	for (size_t i = 0; i < sent->files.count + sent->more.count; i++) {
		const struct request_file *file = i < sent->files.count ? &sent->files.file[i] :
		                                                          &sent->more.file[i - sent->files.count];

		if (file->is_code)
			continue;
		must(count-- > 0);
		check_next(&files, file);
	}
	must(files.left == 0 && count == 0);
}

/* Check that no path leads out of the working directory, and none is another's or its directory. */
static void
check_files(const struct request_files *files, const struct run_limits *limits)
{
	uint64_t bytes = 0;

	must((files->count == 0) == (files->file == NULL) && files->count <= limits->inodes);
	for (size_t i = 0; i < files->count; i++) {
		const struct request_file *file = &files->file[i];
		const char *path = file->path.bytes;

		must(strlen(path) == file->path.size && path[0] != '/' && path[0] != '\0');
		for (const char *at = path; at != NULL; at = strchr(at, '/') == NULL ? NULL : strchr(at, '/') + 1)
			must(strcspn(at, "/") > 0 && strcmp(at, ".") != 0 && strcmp(at, "..") != 0 && strncmp(at, "./", 2) != 0 &&
			    strncmp(at, "../", 3) != 0);
		for (size_t j = 0; j < files->count; j++)
			must(i == j || strncmp(path, files->file[j].path.bytes, file->path.size) != 0 ||
			    (files->file[j].path.bytes[file->path.size] != '/' &&
			        files->file[j].path.bytes[file->path.size] != '\0'));
		must(file->id == NULL || (strlen(file->id) == STORE_ID_LENGTH && file->content.size == 0));
		bytes += file->content.size;
	}
	must(bytes == files->bytes && bytes <= limits->disk_bytes);
}

/* Check that the guest finds everything that was sent, in order and complete. */
static void
check_job(const struct run_request *request)
{
	const struct text args = { request->args.bytes, request->args.size }, env = { request->env.bytes, request->env.size },
	                  needs = { request->needs.bytes, request->needs.size };
	const struct text main_file = { request->main.bytes, request->main.size == 0 ? 0 : request->main.size + 1 };
	const struct text *const parts[] = { &request->code, &request->preload, &args, &env, &needs, &main_file };
	struct job_header head;
	size_t size;
	int fd;
	const char *code, *at;

	for (size_t i = 0; i < request->files.count; i++) {
		struct request_file *file = &request->files.file[i];

		file->stored_bytes = file->id == NULL ? 0 : file->path.size * 12345;
		file->packed.at = file->stored_bytes / 2;
	}
	fd = memfd_job(request);
	must(fd >= 0);
	sent = request;
	at = code = guest_map_job(fd, &head, &size);
	must(head.files_bytes <= size - sizeof head && head.files <= request->files.count + request->more.count);
	size -= sizeof head + head.files_bytes;
	must(head.magic == JOB_MAGIC && head.argc == request->args.count && head.envc == request->env.count);
	must(head.code_bytes == parts[0]->size && head.preload_bytes == parts[1]->size);
	must(head.args_bytes == parts[2]->size && head.env_bytes == parts[3]->size);
	must(head.needs == request->needs.count && head.needs_bytes == parts[4]->size);
	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
		must((size_t)(code + size - at) >= parts[i]->size);
		must(parts[i]->size == 0 || memcmp(at, parts[i]->bytes, parts[i]->size) == 0);
		at += parts[i]->size;
	}
	must(at == code + size);
	must(munmap((void *)(code - sizeof head), sizeof head + size + head.files_bytes) == 0);
}

static void
check_request(const struct run_request *request)
{
	const struct language_config *language;

	must(request->language < config.language_count);
	language = config.language[request->language];
	must(request->warm < language->warm_count);
	must(!request->network || config.network != NETWORK_NONE);
	must(request->code.size > 0 || request->files.stored_main != NULL);
	for (size_t i = 0; i < REQUEST_LIMITS; i++) {
		uint64_t limit = request_limit_of(&request_limits[i], &request->limits);

		/* No threads besides the processes: a request that sets only these means that. */
		must(limit >= 1 || strcmp(request_limits[i].name, "threads") == 0);
		must(limit <= request_limit_of(&request_limits[i], &language->limits.maximum));
	}
	check_text(&request->code);
	check_text(&request->preload);
	check_text(&request->input);
	check_block(&request->args);
	check_block(&request->env);
	check_env(&request->env);
	check_block(&request->needs);
	check_needs(&request->needs);
	check_block(&request->collect);
	must(request->collect.count <= 64);
	/*
	 * The limits of a test may be lower than those under which the request's files were
	 * checked.
	 */
	if (!request->is_part)
		check_files(&request->files, &request->limits);
	check_files(&request->more, &request->limits);
	must(request->more.count == 0 || request->files.bytes + request->more.bytes <= request->limits.disk_bytes);
	check_job(request);
}

/* No file of a test is one of the request's, or in one, or has one in it. */
static void
check_apart(const struct request_files *own, const struct request_files *others)
{
	for (size_t i = 0; i < own->count; i++) {
		for (size_t j = 0; j < others->count; j++) {
			const struct text *a = &own->file[i].path, *b = &others->file[j].path;
			const char *longer = a->size > b->size ? a->bytes : b->bytes;
			size_t shorter = a->size > b->size ? b->size : a->size;

			must(strncmp(a->bytes, b->bytes, shorter) != 0 || (longer[shorter] != '/' && longer[shorter] != '\0'));
		}
	}
}

static void
check_tests(const struct run_request *request)
{
	const struct request_tests *tests = request->tests;

	must(tests->count > 0 && tests->count <= config.tests_most && request->collect.count == 0);
	for (size_t i = 0; i < tests->count; i++) {
		const struct test_case *test = &tests->test[i];
		struct run_request part;

		must(test->weight >= 0 && test->exit_code >= 0 && test->exit_code < 256);
		must(test->id.bytes == NULL || test->is_id_text || strspn(test->id.bytes, "-0123456789") == test->id.size);
		check_text(&test->id);
		check_text(&test->answer);
		must(test->checker.kind < CHECKER_KINDS && test->checker.absolute >= 0 && test->checker.relative >= 0);
		must(test->program != NULL || !test->has_answer || checker_fault(&test->checker, &test->answer) == NULL);
		check_apart(&test->files, &request->files);
		request_tests_run(request, test, &part);
		check_request(&part);
		request_free(&part);
	}
	for (size_t i = 0; i < tests->programs; i++) {
		must(!tests->program[i]->wants_network && tests->program[i]->collect.count == 0);
		check_request(tests->program[i]);
	}
}

static void
try(const char *body, size_t size)
{
	struct run_request request;
	struct http_error error = { .text = "" };

	if (request_parse(&config, body, size, &request, &error) == 0) {
		check_request(&request);
		if (request.tests != NULL)
			check_tests(&request);
		request_free(&request);
	} else {
		check_refusal(&error, &request);
	}
	request_free(&request);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* One of three configurations, chosen by the input. */
	config.network = size % 3 == 2 ? NETWORK_HOST : NETWORK_NONE;
	config.network_strict = size % 3 == 1;
	config.store_bytes = config.collect_store_bytes = size % 2;
	do {
		fuzz_begin();
		try((const char *)data, size);
	} while (!fuzz_end());
	return 0;
}
