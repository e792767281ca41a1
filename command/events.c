/* events.c - see events.h. */
#define _GNU_SOURCE
#include "events.h"

#include <json-c/json.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "outcome.h"
#include "say.h"

#define LINE_MOST ((size_t)1 << 30) /* of a result with files */

static int
print(struct events *events, struct json_object *text, FILE *out)
{
	size_t size = (size_t)json_object_get_string_len(text);

	if (!json_object_is_type(text, json_type_string) || size == 0)
		return 0;
	events->has_printed = true;
	return fwrite(json_object_get_string(text), 1, size, out) == size && fflush(out) == 0 ? 0 : -1;
}

/* Keep the answer that an event stands for. */
static void
keep(struct events *events, long status, int code, const char *message, struct json_object *data)
{
	struct json_object *envelope = json_object_new_object();

	json_object_object_add(envelope, "code", json_object_new_int(code));
	json_object_object_add(envelope, "message", json_object_new_string(message));
	json_object_object_add(envelope, "data", json_object_get(data));
	free(events->envelope);
	events->envelope = strdup(json_object_to_json_string_ext(envelope, JSON_C_TO_STRING_PLAIN));
	if (events->envelope == NULL)
		say_no_memory();
	events->status = status;
	json_object_put(envelope);
}

static void
take_error(struct events *events, struct json_object *data)
{
	struct json_object *status = NULL, *code = NULL, *retry = NULL;

	json_object_object_get_ex(data, "status", &status);
	json_object_object_get_ex(data, "code", &code);
	keep(events, json_object_get_int(status), json_object_get_int(code), outcome_text(data, "message", ""), NULL);
	events->retry_after_s = json_object_object_get_ex(data, "retry_after", &retry) ? json_object_get_int(retry) : -1;
}

/* Files come before the result, an event each. */
static void
take_file(struct events *events, struct json_object *file)
{
	if (events->files == NULL)
		events->files = json_object_new_array();
	if (events->files == NULL || json_object_array_add(events->files, json_object_get(file)) != 0)
		say_no_memory();
}

static void
take_result(struct events *events, struct json_object *data)
{
	if (events->files != NULL)
		json_object_object_add(data, "files", json_object_get(events->files));
	keep(events, 200, 0, "success", data);
}

/* Other kinds, such as heartbeats, have nothing for the user of a shell. */
static int
take_event(struct events *events, const char *line, size_t size)
{
	struct json_tokener *tokener = json_tokener_new();
	struct json_object *event, *data = NULL;
	const char *kind;
	int result = 0;

	if (tokener == NULL)
		say_no_memory();
	event = json_tokener_parse_ex(tokener, line, (int)size);
	json_tokener_free(tokener);
	if (!json_object_is_type(event, json_type_object)) {
		json_object_put(event);
		return -1;
	}
	kind = outcome_text(event, "event", "");
	json_object_object_get_ex(event, "data", &data);
	if (strcmp(kind, "stdout") == 0)
		result = print(events, data, stdout);
	else if (strcmp(kind, "stderr") == 0)
		result = print(events, data, stderr);
	else if (strcmp(kind, "file") == 0)
		take_file(events, data);
	else if (strcmp(kind, "result") == 0 && json_object_is_type(data, json_type_object))
		take_result(events, data);
	else if (strcmp(kind, "error") == 0)
		take_error(events, data);
	json_object_put(event);
	return result;
}

static void
append(struct events *events, const char *bytes, size_t size)
{
	if (events->size + size > events->room) {
		events->room = 2 * (events->size + size);
		events->line = realloc(events->line, events->room);
		if (events->line == NULL)
			say_no_memory();
	}
	memcpy(events->line + events->size, bytes, size);
	events->size += size;
}

int
events_take(void *context, const char *bytes, size_t size)
{
	struct events *events = context;

	while (size > 0) {
		const char *end = memchr(bytes, '\n', size);
		size_t part = end != NULL ? (size_t)(end + 1 - bytes) : size;

		if (part > LINE_MOST - events->size)
			return -1;
		append(events, bytes, part);
		if (end != NULL) {
			if (events->size > 1 && take_event(events, events->line, events->size - 1) != 0)
				return -1;
			events->size = 0;
		}
		bytes += part;
		size -= part;
	}
	return 0;
}

void
events_settle(void *context, struct http_reply *reply)
{
	struct events *events = context;

	if (events->envelope != NULL) {
		reply->end = HTTP_ANSWERED; /* whatever became of the connection afterwards */
		reply->status = events->status;
		reply->retry_after_s = events->status == 200 ? -1 : events->retry_after_s;
		reply->body = events->envelope;
		reply->size = strlen(events->envelope);
		reply->was_taken = events->status == 200 || events->has_printed;
		events->envelope = NULL;
	} else if (reply->end == HTTP_ANSWERED) {
		reply->end = HTTP_CUT;
		snprintf(reply->error, sizeof reply->error, "the answer ends before the result");
	}
	json_object_put(events->files);
	events->files = NULL;
	events->size = 0; /* of the next answer */
}

void
events_free(struct events *events)
{
	free(events->line);
	free(events->envelope);
	json_object_put(events->files);
}
