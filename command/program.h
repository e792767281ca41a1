/*
 * program.h - a program as the options of `run` and `test` describe it, and the request that runs
 * it.
 */
#ifndef CELLBLOCK_PROGRAM_H
#define CELLBLOCK_PROGRAM_H

#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>

struct json_object;

struct program {
	const char *path; /* of the source; "-": standard input */
	const char *language;
	struct json_object *limits, *env, *compiler_options; /* NULL: none */
	const char **files;                                  /* as given to --file */
	size_t file_count;
	bool has_network, has_loopback;
};

/* The options that `run` and `test` share: of getopt_long(3), and in words. */
#define PROGRAM_OPTIONS \
	{ "language", required_argument, NULL, 'l' }, { "limit", required_argument, NULL, 'L' }, \
	    { "file", required_argument, NULL, 'f' }, { "env", required_argument, NULL, 'e' }, \
	    { "network", optional_argument, NULL, 'n' }, \
	{ \
		"compiler-option", required_argument, NULL, 'o' \
	}
#define PROGRAM_LETTERS "l:L:f:e:n"
#define PROGRAM_USAGE \
	"  -l, --language NAME         the language; else it is guessed from FILE's name or #! line\n" \
	"  -L, --limit NAME=VALUE      such as wall_ms=2000 or memory_bytes=64M\n" \
	"  -f, --file PATH[=NAME]      a file for the program, as NAME in its directory\n" \
	"  -e, --env NAME[=VALUE]      a variable; without a value, the one of this environment\n" \
	"  -n, --network[=loopback]    ask for the network of the service, or a localhost alone\n" \
	"      --compiler-option WORD  a word for the compiler's command\n"

/*
 * Take an option of the list above. Returns whether it is one. Exits if its value is wrong. The
 * program keeps `value`.
 */
bool program_take_option(struct program *program, int letter, const char *value);

/*
 * The request for this program: an object for json_object_put, without stdin and args. Reads the
 * source and the files. Exits if one of them is wrong, unless `may_fail`: then NULL after a line on
 * standard error.
 */
struct json_object *program_request(const struct program *program, bool may_fail);

/* The path on this host of the file that the option with this index names, for free(). */
char *program_path_of(const struct program *program, size_t index);

void program_free(struct program *program);

#endif
