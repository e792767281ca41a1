/* launcher.c - see launcher.h. A fork of the runner, as walled in as any zygote; its guests forget it by execve(2). */
#define _GNU_SOURCE
#include "guest/launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest/guest.h"
#include "guest/hook.h"

static const char spare_env[] = "LD_PRELOAD=" HOOK_LIBRARY "\0" HOOK_VARIABLE "=" HOOK_SPARE;

static const struct launcher_config *config;
static int setup_fd; /* our copy of the setup, for the interpreters of spares */

/* The program cannot be started: tell whoever sent it. */
static void __attribute__((noreturn))
give_up(const char *what)
{
	char text[256];
	int size = snprintf(text, sizeof text, "%s: %s\n", what, strerror(errno));

	if (size > 0 && write(STDERR_FILENO, text, (size_t)size < sizeof text ? (size_t)size : sizeof text - 1) < 0)
		_exit(126);
	_exit(127);
}

/* ---- argv and environment --------------------------------------------------------------------------------------- */

/* Append the `count` strings of `bytes`, each ended by a NUL, to the list. */
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
		give_up("start the program");
	return list;
}

static char **
make_argv(const struct strings *command, uint32_t argc, const char *args)
{
	char **argv = new_list(command->count + argc + 1);
	size_t count = 0;

	for (size_t i = 0; i < command->count; i++)
		argv[count++] = command->item[i];
	/* What was compiled bears the name that its compiler gave it. */
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

/* What the run asks for, and below it what all programs of the language have. */
static char **
make_env(uint32_t envc, const char *entries)
{
	size_t standard = 0, count;
	char **env;

	while (config->env[standard] != NULL)
		standard++;
	env = new_list(envc + standard);
	count = append(env, 0, entries, envc);
	for (size_t i = 0; i < standard; i++) {
		if (!has_variable(env, envc, config->env[i]))
			env[count++] = config->env[i];
	}
	return env;
}

/* ---- the guest -------------------------------------------------------------------------------------------------- */

/* Copy what was compiled to where its interpreter looks for it. */
static void
unpack_output(void)
{
	const char *name = config->language->compile.output;
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	struct stat st;
	off_t at = 0;

	if (fd < 0 || fstat(GUEST_OUTPUT_FD, &st) != 0)
		give_up(name);
	while (at < st.st_size) {
		if (sendfile(fd, GUEST_OUTPUT_FD, &at, (size_t)(st.st_size - at)) <= 0)
			give_up(name);
	}
	close(fd);
}

/* Become what was asked for: the compiler, the interpreter, or what was compiled. */
static void __attribute__((noreturn))
become_program(int job_fd)
{
	const struct language_config *language = config->language;
	const struct strings *command = guest_start.is_compile != 0 ? &language->compile.command : &language->run;
	struct job_header head;
	size_t size;
	const char *code = guest_map_job(job_fd, &head, &size);
	const char *args = code + head.code_bytes + head.preload_bytes;
	char **argv = make_argv(command, guest_start.is_compile != 0 ? 0 : head.argc, args);
	char **env = make_env(guest_start.is_compile != 0 ? 0 : head.envc, args + head.args_bytes);

	if (guest_start.has_output == 0 && !guest_write_program(&head, code))
		give_up(language->main_file);
	if (command->count == 0) {
		/* Without a path: nothing that a program can write is ever executed for another. */
		execveat(GUEST_OUTPUT_FD, "", argv, env, AT_EMPTY_PATH);
		give_up(argv[0]);
	}
	if (guest_start.has_output != 0)
		unpack_output();
	execve(argv[0], argv, env);
	give_up(argv[0]);
}

/*
 * Start the interpreter now. It will report that it is ready, and wait for its program, when it is about to open the main
 * file; an empty one is there for those that look first.
 */
static void __attribute__((noreturn))
become_spare(void)
{
	char **argv = make_argv(&config->language->run, 0, "");
	char **env = make_env(2, spare_env);

	if (!guest_write_main_file("", 0) || guest_take_along(setup_fd) != 0)
		guest_fail("prepare a spare interpreter");
	execve(argv[0], argv, env);
	guest_fail("start a spare interpreter");
}

void
launcher_main(const struct launcher_config *launcher)
{
	char *imports;

	config = launcher;
	setup_fd = fcntl(ZYGOTE_SETUP_FD, F_DUPFD_CLOEXEC, HOOK_FDS_END);
	if (setup_fd < 0 || zygote_read_setup(&imports) != 0 || zygote_wall_in(false) != 0) {
		zygote_report(errno != 0 ? errno : EPROTO, launcher->version, strerror(errno));
		_exit(1);
	}
	free(imports);
	zygote_report(0, launcher->version, "");
	zygote_make_guests();
	if (config->is_spare)
		become_spare();
	guest_report_ready();
	become_program(guest_receive_run());
}
