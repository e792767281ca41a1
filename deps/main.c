/*
 * main.c - cellblock-deps, the packages of runs: options, rights, and the commands of the shell.
 *
 * It installs as the owner of dependencies.sets, which must not be root.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <grp.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "autoconfig.h"
#include "build.h"
#include "config_language.h"
#include "config_load.h"
#include "listing.h"
#include "log.h"
#include "server.h"

static void
usage(FILE *to)
{
	fprintf(to,
	    "usage: cellblock-deps [-c file] LANGUAGE list|check|build|refresh\n"
	    "       cellblock-deps [-c file] --serve\n"
	    "       cellblock-deps -h | -V\n\n"
	    "  list               print what programs can import, with versions\n"
	    "  check              check that the set in use fits the requirements\n"
	    "  refresh            build a set if the requirements have changed\n"
	    "  build              build a set anyway, with the newest versions that are allowed\n\n"
	    "  -c, --config file  the configuration (default: " SYSCONFDIR "/cellblock/cellblock.conf)\n"
	    "      --serve        answer requests at the socket that is descriptor 0\n"
	    "  -V, --version      print the version, and end\n"
	    "  -h, --help         print this, and end\n");
}

/* Become the owner of the directory for sets, if this is root. */
static void
become_owner(const char *directory)
{
	struct stat st;

	if (stat(directory, &st) != 0)
		die("dependencies.sets: %s: %s", directory, strerror(errno));
	if (geteuid() == 0) {
		if (st.st_uid == 0)
			die("dependencies.sets: %s belongs to root; it must belong to the user that installs packages",
			    directory);
		if (setgroups(0, NULL) != 0 || setresgid(st.st_gid, st.st_gid, st.st_gid) != 0 ||
		    setresuid(st.st_uid, st.st_uid, st.st_uid) != 0)
			die("become uid %u: %s", (unsigned)st.st_uid, strerror(errno));
	}
	/* Installers run with no more rights than this process. */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		die("PR_SET_NO_NEW_PRIVS: %s", strerror(errno));
	umask(022);
}

static int
print_list(const struct config *config, const struct language_config *language)
{
	char error[512];
	struct json_object *list = listing_make(config, language, error, sizeof error);

	if (list == NULL) {
		fprintf(stderr, "cellblock-deps: %s\n", error);
		return 1;
	}
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *one = json_object_array_get_idx(list, i), *name, *version;

		if (json_object_object_get_ex(one, "name", &name) && json_object_object_get_ex(one, "version", &version))
			printf("%s %s\n", json_object_get_string(name), json_object_get_string(version));
	}
	json_object_put(list);
	return 0;
}

static int
check(const struct config *config, const struct language_config *language)
{
	char reason[SET_REASON_SIZE] = "";

	if (build_is_current(config, language, reason)) {
		printf("%s: the set in use fits its requirements\n", language->name);
		return 0;
	}
	fprintf(stderr, "cellblock-deps: %s: %s\n", language->name, reason);
	return 1;
}

static int
make(const struct config *config, const struct language_config *language, enum build_mode mode)
{
	char reason[SET_REASON_SIZE];

	switch (build(config, language, mode, reason)) {
	case BUILD_NOTHING:
		printf("%s: the set in use fits its requirements\n", language->name);
		return 0;
	case BUILD_SWITCHED:
		printf("%s: new runs use a new set of packages\n", language->name);
		return 0;
	case BUILD_JOINED:
		printf("%s: another build has made this set meanwhile\n", language->name);
		return 0;
	case BUILD_FAILED:
		break;
	}
	fprintf(stderr, "cellblock-deps: %s: the build failed, and the old set stays in use: %s\n", language->name, reason);
	return 1;
}

static int
command(const struct config *config, const char *name, const char *word)
{
	int found = config_language_find(config, name);
	const struct language_config *language = found < 0 ? NULL : config->language[found];

	if (language == NULL || language->packages == PACKAGES_NONE) {
		fprintf(stderr, "cellblock-deps: %s: is no language with packages; those are:", name);
		for (size_t i = 0; i < config->language_count; i++) {
			if (config->language[i]->packages != PACKAGES_NONE)
				fprintf(stderr, " %s", config->language[i]->name);
		}
		fputc('\n', stderr);
		return 2;
	}
	if (strcmp(word, "list") == 0)
		return print_list(config, language);
	if (strcmp(word, "check") == 0)
		return check(config, language);
	if (strcmp(word, "refresh") == 0)
		return make(config, language, BUILD_IF_CHANGED);
	if (strcmp(word, "build") == 0)
		return make(config, language, BUILD_ANYWAY);
	usage(stderr);
	return 2;
}

int
main(int argc, char **argv)
{
	static const struct option known[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "serve", no_argument, NULL, 's' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	const char *path = SYSCONFDIR "/cellblock/cellblock.conf";
	bool serves = false;
	struct config *config;
	char error[512];
	int c, status = 0;

	while ((c = getopt_long(argc, argv, "c:Vh", known, NULL)) != -1) {
		switch (c) {
		case 'c':
			path = optarg;
			break;
		case 's':
			serves = true;
			break;
		case 'h':
			usage(stdout);
			return 0;
		case 'V':
			puts("cellblock-deps " PACKAGE_VERSION);
			return 0;
		default:
			usage(stderr);
			return 2;
		}
	}
	if (argc - optind != (serves ? 0 : 2)) {
		usage(stderr);
		return 2;
	}
	log_open("cellblock-deps");
	config = config_load(path, error, sizeof error);
	if (config == NULL)
		die("%s", error);
	become_owner(config->dependencies.sets);
	if (serves)
		server_run(path);
	else
		status = command(config, argv[optind], argv[optind + 1]);
	config_free(config);
	return status;
}
