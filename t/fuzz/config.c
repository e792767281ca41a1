/*
 * config.c - cellblock.conf and the files of two languages, with lines of "%%" between them. Files
 * that an input leaves out are short and valid.
 */
#define _GNU_SOURCE
#include "config.h"
#include "config_network.h"
#include "config_language.h"
#include "config_load.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

#define FILES 3

static const char *const standard[FILES] = {
	"",
	"name = \"python3\"; main_file = \"main.py\"; driver = \"python3\"; interpreter = \"/usr/bin/python3\";\n"
	"policy = \"python3\"; warm = ( { name = \"base\"; } );\n",
	"name = \"c\"; main_file = \"main.c\"; start = \"cold\"; policy = \"exec\"; version = [\"/usr/bin/cc\"];\n"
	"compile = { command = [\"/usr/bin/cc\"]; output = \"main\"; };\n",
};

static const char *path[FILES];
static int fd[FILES];

static void
open_files(void)
{
	path[0] = fuzz_file("cellblock.conf", &fd[0]);
	fuzz_file("languages", NULL);
	path[1] = fuzz_file("languages/a.conf", &fd[1]);
	path[2] = fuzz_file("languages/b.conf", &fd[2]);
}

/* Write only the files that differ from the last input's. */
static void
write_files(const uint8_t *data, size_t size)
{
	static bool is_standard[FILES];

	for (int i = 0; i < FILES; i++) {
		const uint8_t *part;
		size_t part_size;
		bool given = fuzz_next_part(&data, &size, &part, &part_size);

		if (given)
			fuzz_write(fd[i], part, part_size);
		else if (!is_standard[i])
			fuzz_write(fd[i], (const uint8_t *)standard[i], strlen(standard[i]));
		is_standard[i] = !given;
	}
}

/*
 * An error is one line: the file, the line, and the allowed values; or the text of libconfig or the
 * kernel.
 */
static void
check_error(const char *error, size_t size)
{
	size_t length = strnlen(error, size);

	must(length > 0 && length < size && error[0] == '/');
	for (size_t at = 0; at < length; at++)
		must(!iscntrl((unsigned char)error[at]));
	error = strstr(error, ".conf:");
	must(error != NULL);
	error += strlen(".conf:");
	if (isdigit((unsigned char)error[0])) {
		must(atoi(error) >= 1);
		error += strspn(error, "0123456789");
		must(error[0] == ':' && error[1] == ' ' && error[2] != '\0');
	} else {
		must(strcmp(error, " the file contains a NUL byte; allowed: text") == 0 ||
		    strncmp(error, " cannot read the file: ", 23) == 0);
	}
}

static void
check_text(const char *text)
{
	must(text != NULL && text[0] != '\0');
	for (; *text != '\0'; text++)
		must(!iscntrl((unsigned char)*text));
}

static void
check_name(const char *text)
{
	check_text(text);
	must(strlen(text) < PROTO_NAME_SIZE && strchr(text, '/') == NULL && text[0] != '.');
}

static void
check_path(const char *text)
{
	check_text(text);
	must(text[0] == '/');
}

static void
check_strings(const struct strings *strings)
{
	for (size_t i = 0; i < strings->count; i++)
		check_text(strings->item[i]);
}

static void
check_command(const struct strings *command)
{
	check_strings(command);
	must(command->count <= CONFIG_MAX_WORDS);
	if (command->count > 0)
		check_path(command->item[0]);
}

static void
check_run_limits(const struct run_limits *limits)
{
	must(limits->wall_ms > 0 && limits->wall_ms <= 86400000 && limits->cpu_ms > 0 && limits->cpu_ms <= 86400000);
	must(limits->memory_bytes >= 1 << 20 && limits->memory_bytes <= UINT64_C(1) << 40);
	must(limits->processes > 0 && limits->processes <= 32768);
	must(limits->output_bytes > 0 && limits->output_bytes <= 1 << 30);
	must(limits->disk_bytes >= 4096 && limits->disk_bytes <= UINT64_C(1) << 40);
	must(limits->threads <= 32768 && limits->open_files >= 64 && limits->open_files <= 1048576);
	must(limits->inodes >= 16 && limits->inodes <= 16777216);
	must((limits->stack_bytes == 0 || limits->stack_bytes >= 1 << 20) && limits->stack_bytes <= UINT64_C(1) << 40);
}

static void
check_limits(const struct limits_config *limits)
{
	check_run_limits(&limits->default_);
	check_run_limits(&limits->maximum);
	must(limits->default_.wall_ms <= limits->maximum.wall_ms && limits->default_.cpu_ms <= limits->maximum.cpu_ms);
	must(limits->default_.memory_bytes <= limits->maximum.memory_bytes);
	must(limits->default_.processes <= limits->maximum.processes);
	must(limits->default_.output_bytes <= limits->maximum.output_bytes);
	must(limits->default_.disk_bytes <= limits->maximum.disk_bytes);
	must(limits->default_.threads <= limits->maximum.threads && limits->default_.threads > 0);
	must(limits->default_.open_files <= limits->maximum.open_files);
	must(limits->default_.inodes <= limits->maximum.inodes);
	must(limits->default_.stack_bytes <= limits->maximum.stack_bytes);
}

static void
check_warm(const struct language_config *language)
{
	must(language->warm_count >= 1 && language->warm_count <= CONFIG_MAX_WARM);
	must(language->driver != NULL || language->warm_count == 1);
	for (size_t i = 0; i < language->warm_count; i++) {
		const struct warm_set *set = &language->warm[i];

		must(set->zygotes >= 1 && set->zygotes <= 64 && set->armed <= 4096);
		must((i == 0) == (set->hints.count == 0));
		check_strings(&set->hints);
		check_strings(&set->imports);
		if (language->driver != NULL)
			check_name(set->name);
	}
}

static void
check_language(const struct language_config *language)
{
	bool is_compiled = config_is_compiled(language);

	check_name(language->name);
	check_name(language->main_file);
	check_name(language->policy);
	check_limits(&language->limits);
	check_warm(language);
	check_command(&language->run);
	check_command(&language->version);
	check_command(&language->compile.command);
	check_strings(&language->env);
	check_strings(&language->root);
	check_strings(&language->links);
	for (size_t i = 0; i < language->aliases.count; i++)
		check_name(language->aliases.item[i]);
	must(language->start <= START_COLD && language->recycle_runs >= 1);
	if (language->driver != NULL) {
		check_name(language->driver);
		check_path(language->interpreter);
		must(language->start == START_ZYGOTE);
	} else {
		must(language->version.count > 0 && (language->run.count > 0 || is_compiled));
	}
	if (is_compiled) {
		must(language->start == START_COLD);
		check_name(language->compile.output);
		check_run_limits(&language->compile.limits);
	}
}

static void
check_config(const struct config *config)
{
	uint64_t armed = 0;

	check_path(config->language_dir);
	check_path(config->policy_dir);
	check_path(config->driver_dir);
	check_path(config->socket_path);
	if (config->worker_user != NULL)
		check_text(config->worker_user);
	if (config->cgroup_parent != NULL)
		check_path(config->cgroup_parent);
	must(config->first_uid >= 65536 && config->first_uid + config->cells < UINT32_MAX);
	must(config->cells >= 1 && config->cells <= 4096 && config->queue <= 65536);
	must(config->queue_ms >= 1 && config->queue_ms <= 600000);
	must(config->cgroup <= LAYER_REQUIRED && config->landlock <= LAYER_REQUIRED);
	must(config->cpu_percent >= 1);
	must(config->body_bytes >= 1024 && config->body_bytes <= 1 << 30);
	check_limits(&config->limits);
	must(config->language_count >= 1 && config->language_count <= 2);
	for (size_t i = 0; i < config->language_count; i++) {
		const struct language_config *language = config->language[i];

		check_language(language);
		must(i == 0 || strcmp(config->language[i - 1]->name, language->name) < 0);
		must(config_language_find(config, language->name) == (int)i);
		for (size_t a = 0; a < language->aliases.count; a++)
			must(config_language_find(config, language->aliases.item[a]) == (int)i);
		for (size_t w = 0; language->idle_s == 0 && w < language->warm_count; w++)
			armed += language->warm[w].armed + config_network_armed(config, &language->warm[w]);
	}
	must(armed <= config->cells);
	must(config->proxy_count <= CONFIG_MAX_PROXIES && (config->network != NETWORK_PROXY || config->proxy_count > 0));
	for (size_t i = 0; i < config->proxy_count; i++)
		must(config_network_find_proxy(config, config->proxy[i].name) == (int)i &&
		    strchr(config->proxy[i].address, ':') != NULL);
}

static void
try(void)
{
	char error[512] = "";
	struct config *config = config_load(path[0], error, sizeof error);

	if (config != NULL)
		check_config(config);
	else
		check_error(error, sizeof error);
	config_free(config);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (path[0] == NULL)
		open_files();
	write_files(data, size);
	do {
		fuzz_begin();
		try();
	} while (!fuzz_end());
	return 0;
}
