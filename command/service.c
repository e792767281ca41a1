/* service.c - see service.h. */
#define _GNU_SOURCE
#include "service.h"

#include <errno.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "clock.h"
#include "exit_codes.h"
#include "say.h"

#define FIRST_WAIT_MS 250u
#define LONGEST_WAIT_MS 8000u
#define LOST "lost"

/* Read the envelope of an answer. */
static void
read_envelope(struct service_reply *reply)
{
	struct json_tokener *tokener;
	struct json_object *code, *message;

	reply->message = reply->http.end == HTTP_ANSWERED ? "the answer is not from Cellblock" : reply->http.error;
	if (reply->http.body == NULL || reply->http.size > INT_MAX)
		return;
	tokener = json_tokener_new();
	if (tokener == NULL)
		say_no_memory();
	reply->tree = json_tokener_parse_ex(tokener, reply->http.body, (int)reply->http.size);
	json_tokener_free(tokener);
	if (!json_object_is_type(reply->tree, json_type_object) || !json_object_object_get_ex(reply->tree, "code", &code) ||
	    !json_object_is_type(code, json_type_int) || !json_object_object_get_ex(reply->tree, "message", &message) ||
	    !json_object_is_type(message, json_type_string)) {
		json_object_put(reply->tree);
		reply->tree = NULL;
		return;
	}
	reply->code = json_object_get_int(code);
	reply->message = json_object_get_string(message);
	json_object_object_get_ex(reply->tree, "data", &reply->data);
}

static bool
may_repeat(const struct http_request *request, const struct service_reply *reply)
{
	if (reply->http.end == HTTP_NOT_SENT)
		return true;
	if (reply->http.was_taken || reply->http.end == HTTP_DISTRUST)
		return false; /* the sink has used it */
	if (reply->http.end == HTTP_CUT)
		return request->is_idempotent;
	switch (reply->http.status) {
	case 429:
		return true;
	case 503: /* of another program on the way it says nothing about the run */
		return request->is_idempotent || reply->code == -503;
	case 502:
	case 504:
		return request->is_idempotent;
	default:
		return false;
	}
}

static void
wait_ms(uint64_t ms)
{
	struct timespec left = { .tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000 };

	while (nanosleep(&left, &left) != 0 && errno == EINTR)
		continue;
}

void
service_call(struct http *http, const struct settings *settings, const struct http_request *request, struct service_reply *reply)
{
	uint64_t end_ms = clock_us() / 1000 + (uint64_t)settings->retry_s * 1000, next_ms = FIRST_WAIT_MS;

	for (bool is_first = true;; is_first = false) {
		uint64_t now_ms, pause_ms;

		*reply = (struct service_reply){ 0 };
		http_send(http, request, &reply->http);
		read_envelope(reply);
		if (!may_repeat(request, reply))
			return;
		/* Those that were refused together must not come back together. */
		pause_ms = next_ms / 2 + (uint64_t)random() % (next_ms / 2 + 1);
		if (reply->http.retry_after_s >= 0)
			pause_ms += (uint64_t)reply->http.retry_after_s * 1000;
		now_ms = clock_us() / 1000;
		if (now_ms + pause_ms > end_ms)
			return;
		if (is_first)
			say_line("%s; trying again for up to %ld s", reply->message, settings->retry_s);
		service_reply_free(reply);
		wait_ms(pause_ms);
		next_ms = next_ms * 2 < LONGEST_WAIT_MS ? next_ms * 2 : LONGEST_WAIT_MS;
	}
}

void
service_reply_free(struct service_reply *reply)
{
	json_object_put(reply->tree);
	reply->tree = NULL;
	http_reply_free(&reply->http);
}

bool
service_is_success(const struct service_reply *reply)
{
	return reply->http.end == HTTP_ANSWERED && reply->http.status >= 200 && reply->http.status < 300 && reply->code == 0 &&
	    reply->tree != NULL;
}

int
service_exit_code(const struct service_reply *reply)
{
	if (reply->http.end == HTTP_NOT_SENT || reply->http.end == HTTP_DISTRUST)
		return EXIT_BUSY;
	if (reply->http.end == HTTP_CUT)
		return EXIT_LOST;
	if (reply->http.status == 429 || (reply->http.status == 503 && reply->code == -503))
		return EXIT_BUSY;
	if (reply->tree == NULL && reply->http.status < 300)
		return EXIT_LOST; /* whatever this answer is */
	return reply->http.status >= 500 ? EXIT_LOST : EXIT_REFUSED;
}

int
service_complain(const struct service_reply *reply)
{
	int exit_code = service_exit_code(reply);

	if (reply->http.end == HTTP_NOT_SENT || reply->http.end == HTTP_DISTRUST)
		say_line("nothing was run: %s", reply->message);
	else if (reply->http.end == HTTP_CUT)
		say_line("the run may have begun, and its result is lost: %s", reply->message);
	else
		say_line("%s (HTTP %ld)", reply->message, reply->http.status);
	return exit_code;
}
