/*
 * launcher.c - see launcher.h. A fork of the runner, behind the same walls as any zygote. Its
 * guests forget its memory by execve(2).
 */
#define _GNU_SOURCE
#include "guest/launcher.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest/guest.h"
#include "guest/hook.h"
#include "guest/job_files.h"
#include "guest/zygote.h"

#define EXIT_NO_STDERR 126

static const char spare_env[] = "LD_PRELOAD=" HOOK_LIBRARY "\0" HOOK_VARIABLE "=" HOOK_SPARE;

static const struct launcher_config *config;
static int setup_fd; /* a copy of the setup, for the interpreters of spares */

/*
 * The program cannot start, for a reason that is the program's or its limits': print it where the
 * client sees it.
 */
static void __attribute__((noreturn)) end_program(const char *name)
{
	char text[256];
	int size = snprintf(text, sizeof text, "%s: %s\n", name, strerror(errno));

	if (size > 0 && write(STDERR_FILENO, text, (size_t)size < sizeof text ? (size_t)size : sizeof text - 1) < 0)
		_exit(EXIT_NO_STDERR);
	_exit(EXIT_NOT_STARTED);
}

/*
 * Did execve(2) fail because of the file that the compiler made? A program decides on its contents,
 * which may be no executable, or ask for a dynamic linker that does not exist.
 */
static bool
is_unfit_output(void)
{
	return errno == ENOEXEC || errno == ENOENT || errno == ELIBBAD || errno == EACCES || errno == EINVAL;
}

/* A file of the program could not be written. The client chose the size of the disk. */
static void __attribute__((noreturn)) fail_to_write(const char *name)
{
	if (guest_is_disk_full())
		end_program(name);
	guest_fail("unpack the compiler's output");
}

/* ---- argv and environment ------------------------------------------------------------------------ */

/* Append the `count` strings of `bytes`, each ended by a NUL, at `at`. Returns the new length. */
static size_t
append(char **list, size_t at, const char *bytes, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		list[at++] = (char *)bytes;
		bytes += strlen(bytes) + 1;
	}
	return at;
}

/* Room for `count` strings and the NULL that ends them. */
static char **
new_list(size_t count)
{
	char **list = calloc(count + 1, sizeof *list);

	if (list == NULL)
		guest_fail("allocate argv and the environment");
	return list;
}

/* A word of a command, with a number in the place of its name, once. */
static char *
replace(char *word, const char *name, uint64_t number)
{
	char *place = strstr(word, name), *text;

	if (place == NULL)
		return word;
	if (asprintf(&text, "%.*s%" PRIu64 "%s", (int)(place - word), word, number, place + strlen(name)) < 0)
		guest_fail("allocate argv and the environment");
	return text;
}

/*
 * A word of a command, with the memory limit of the run and the number of processors in place of
 * their names: a virtual machine that does not know of them would use more than it may have. A
 * spare is started before its run, and gets the default.
 */
static char *
fill_in(char *word)
{
	uint64_t bytes = guest_start.memory_bytes != 0 ? guest_start.memory_bytes :
	                                                 config->language->limits.default_.memory_bytes;

	return replace(replace(word, CONFIG_MEMORY_WORD, bytes), CONFIG_PROCESSORS_WORD, config->processors);
}

/*
 * A path of the run's files as a word of a command. No command takes it for one of its options, or
 * for a file with options.
 */
static char *
path_word(const char *path)
{
	char *word;

	if (isalnum((unsigned char)*path) || *path == '_' || *path == '.')
		return (char *)path;
	if (asprintf(&word, "./%s", path) < 0)
		guest_fail("allocate argv and the environment");
	return word;
}

/* `main_file`: the path of the file to start; NULL: the main file of the language. */
static char **
make_argv(const struct strings *command, const char *main_file, uint32_t argc, const char *args)
{
	char **argv = new_list(command->count + argc + 1);
	size_t count = 0;

	for (size_t i = 0; i < command->count; i++)
		argv[count++] = main_file != NULL && strcmp(command->item[i], config->language->main_file) == 0 ?
		    path_word(main_file) :
		    fill_in(command->item[i]);
	/* The compiler's output is started under its own file name. */
	if (count == 0)
		argv[count++] = config->language->compile.output;
	append(argv, count, args, argc);
	return argv;
}

/* Is the variable of `entry` ("NAME=value") among the first `count` of `list`? */
static bool
has_variable(char *const *list, size_t count, const char *entry)
{
	size_t name = strcspn(entry, "=") + 1;

	for (size_t i = 0; i < count; i++) {
		if (strncmp(list[i], entry, name) == 0)
			return true;
	}
	return false;
}

/* Whether a file is a source that the compiler is to be given, by the end of its name. */
static bool
is_source(const char *path)
{
	const struct strings *sources = &config->language->compile.sources;
	size_t length = strlen(path);

	for (size_t i = 0; i < sources->count; i++) {
		size_t end = strlen(sources->item[i]);

		if (length > end && strcmp(path + length - end, sources->item[i]) == 0)
			return true;
	}
	return false;
}

/* Append the sources among the run's files but the main file. Returns the new length. */
static size_t
append_sources(char **list, size_t at, const struct job_header *head, const char *code)
{
	const char *main_file = guest_main_path(head, code), *path, *content;
	struct job_files files = guest_files(head, code);
	struct job_file file;

	while (job_files_next(&files, &file, &path, &content)) {
		if (is_source(path) && (main_file == NULL || strcmp(path, main_file) != 0))
			list[at++] = path_word(path);
	}
	return at;
}

/*
 * The compiler's command, with the run's files, and with those options of the language's list that
 * the request names.
 */
static char **
make_compiler_argv(const struct job_header *head, const char *code)
{
	const struct strings *command = &config->language->compile.command, *options = &config->language->compile.options;
	const char *main_file = guest_main_path(head, code);
	char **argv = new_list(command->count + options->count + head->files);
	size_t count = 0;

	for (size_t i = 0; i < command->count; i++) {
		if (strcmp(command->item[i], CONFIG_SOURCES_WORD) == 0)
			count = append_sources(argv, count, head, code);
		else if (main_file != NULL && strcmp(command->item[i], config->language->main_file) == 0)
			argv[count++] = path_word(main_file);
		else
			argv[count++] = command->item[i];
	}
	for (size_t i = 0; i < options->count; i++) {
		if ((head->compiler_options >> i & 1) != 0)
			argv[count++] = options->item[i];
	}
	return argv;
}

/* The run's variables, and those of the language that the run does not set. */
static char **
make_env(uint32_t envc, const char *entries)
{
	size_t count, defaults = 0;
	char **env;

	while (config->env[defaults] != NULL)
		defaults++;
	env = new_list(envc + defaults);
	count = append(env, 0, entries, envc);
	for (size_t i = 0; i < defaults; i++) {
		if (!has_variable(env, envc, config->env[i]))
			env[count++] = config->env[i];
	}
	return env;
}

/* ---- the guest ----------------------------------------------------------------------------------- */

/* Copy the compiler's output to where its interpreter looks for it. */
static void
unpack_output(void)
{
	const char *name = config->language->compile.output;
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	struct stat st;
	off_t at = 0;

	if (fd < 0)
		fail_to_write(name);
	if (fstat(GUEST_OUTPUT_FD, &st) != 0)
		guest_fail("find the size of the compiler's output");
	while (at < st.st_size) {
		if (sendfile(fd, GUEST_OUTPUT_FD, &at, (size_t)(st.st_size - at)) <= 0)
			fail_to_write(name);
	}
	close(fd);
}

/*
 * Become the compiler, the interpreter, or the compiler's output. execve(2) closes the control
 * socket, so a failure can be reported until it succeeds.
 */
static void __attribute__((noreturn)) become_program(int job_fd)
{
	const struct language_config *language = config->language;
	const struct strings *command = guest_start.is_compile != 0 ? &language->compile.command : &language->run;
	struct job_header head;
	char path[PATH_MAX];
	size_t size;
	const char *code = guest_map_job(job_fd, &head, &size);
	const char *args = code + head.code_bytes + head.preload_bytes;
	const char *main_file = guest_main_path(&head, code);
	char **argv = guest_start.is_compile != 0 ? make_compiler_argv(&head, code) :
	                                            make_argv(command, main_file, head.argc, args);
	char **env = make_env(guest_start.is_compile != 0 ? 0 : head.envc, args + head.args_bytes);

	guest_refuse_any_needs(&head);
	if (guest_start.has_output == 0 && main_file == NULL && !guest_write_program(language->main_file, &head, code))
		end_program(language->main_file);
	if (command->count == 0) {
		/*
		 * The link is in the read-only root, and leads to the descriptor: nothing that a
		 * program can write is ever executed for another. It needs a /proc.
		 */
		snprintf(path, sizeof path, PATH_PROGRAMS "/%s", language->compile.output);
		execve(path, argv, env);
		execveat(GUEST_OUTPUT_FD, "", argv, env, AT_EMPTY_PATH);
		if (errno == E2BIG || is_unfit_output())
			end_program(argv[0]);
		guest_fail("execute the compiler's output");
	}
	if (guest_start.has_output != 0)
		unpack_output();
	execve(argv[0], argv, env);
	if (errno == E2BIG)
		end_program(argv[0]);
	guest_fail(guest_start.is_compile != 0 ? "execute the compiler" : "execute the interpreter");
}

/*
 * Start the interpreter now. When it is about to open the main file, it reports that it is ready
 * and waits for its program (hook.c). An empty main file is there for interpreters that look first.
 */
static void __attribute__((noreturn)) become_spare(void)
{
	char **argv = make_argv(&config->language->run, NULL, 0, "");
	char **env = make_env(2, spare_env);

	if (!guest_write_file(config->language->main_file, "", 0) || guest_take_along(setup_fd) != 0)
		guest_fail("prepare a spare interpreter");
	execve(argv[0], argv, env);
	guest_fail("start a spare interpreter");
}

void
launcher_main(const struct launcher_config *launcher)
{
	const char *failed;
	char *imports;

	config = launcher;
	setup_fd = fcntl(ZYGOTE_SETUP_FD, F_DUPFD_CLOEXEC, HOOK_FDS_END);
	if (setup_fd < 0 || zygote_begin(&imports) != 0) {
		zygote_report_failure(launcher->version, "read the zygote's setup");
		_exit(1);
	}
	free(imports);
	failed = zygote_wall_in(false);
	if (failed != NULL) {
		zygote_report_failure(launcher->version, failed);
		_exit(1);
	}
	zygote_report(0, launcher->version, "");
	zygote_is_launcher = true;
	zygote_make_guests();
	if (config->is_spare)
		become_spare();
	guest_report_ready();
	become_program(guest_receive_run());
}
