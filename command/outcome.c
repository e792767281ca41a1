/* outcome.c - see outcome.h. */
#define _GNU_SOURCE
#include "outcome.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exit_codes.h"
#include "say.h"

#define SIGNAL_EXIT 128

static struct json_object *
member(struct json_object *object, const char *name)
{
	struct json_object *value = NULL;

	json_object_object_get_ex(object, name, &value);
	return value;
}

const char *
outcome_text(struct json_object *object, const char *name, const char *otherwise)
{
	struct json_object *value = member(object, name);

	return json_object_is_type(value, json_type_string) ? json_object_get_string(value) : otherwise;
}

/* The number of a signal by its name; 0: there is none. The service's host may have others. */
static int
signal_number(const char *name)
{
	if (name == NULL)
		return 0;
	if (strncmp(name, "SIG", 3) == 0) {
		for (int number = 1; number < NSIG; number++) {
			const char *known = sigabbrev_np(number);

			if (known != NULL && strcmp(known, name + 3) == 0)
				return number;
		}
	}
	return atoi(name); /* a signal without a name */
}

int
outcome_exit_code(struct json_object *data)
{
	int number = signal_number(outcome_text(data, "signal", NULL));
	int exit_code = json_object_get_int(member(data, "exit_code"));

	if (number > 0 && number < SIGNAL_EXIT)
		return SIGNAL_EXIT + number;
	return exit_code < 0 || exit_code > 255 ? EXIT_LIMIT : exit_code;
}

static int
print_text(struct json_object *data, const char *name, FILE *out)
{
	struct json_object *value = member(data, name);
	size_t size = (size_t)json_object_get_string_len(value);

	if (size == 0)
		return 0;
	return fwrite(json_object_get_string(value), 1, size, out) == size && fflush(out) == 0 ? 0 : -1;
}

int
outcome_print(struct json_object *data)
{
	if (print_text(data, "stdout", stdout) != 0)
		return -1;
	return print_text(data, "stderr", stderr);
}

/* The line of `error` that says why the run ended; the one before it has the exit code. */
static void
explain_end(struct json_object *data)
{
	static const char mark[] = "error: ";
	const char *error = outcome_text(data, "error", ""), *line = strchr(error, '\n');

	if (line == NULL || strncmp(line + 1, mark, strlen(mark)) != 0)
		return;
	line += 1 + strlen(mark);
	say_line("%.*s", (int)strcspn(line, "\n"), line);
}

static void
explain_denied(struct json_object *data)
{
	struct json_object *denied = member(data, "denied");

	if (!json_object_is_type(denied, json_type_array))
		return;
	for (size_t i = 0; i < json_object_array_length(denied); i++) {
		struct json_object *call = json_object_array_get_idx(denied, i);
		const char *hint = outcome_text(call, "hint", NULL);

		if (hint != NULL)
			say_line("denied: %s: %s", outcome_text(call, "name", "?"), hint);
	}
}

void
outcome_explain(struct json_object *data)
{
	const char *status = outcome_text(data, "status", "");

	if (strcmp(status, "ok") != 0) {
		explain_end(data);
		explain_denied(data);
	}
	if (json_object_get_boolean(member(data, "truncated")))
		say_line("the output is cut at its limit");
}
