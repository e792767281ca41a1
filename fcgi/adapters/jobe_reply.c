/* jobe_reply.c - outcomes in the words of Jobe's protocol. See jobe.h. */
#define _GNU_SOURCE
#include <json-c/json.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adapters/adapter_reply.h"
#include "adapters/jobe.h"
#include "json_text.h"

#define HEX_SIZE 4 /* "\x1b" */

/*
 * Signs on stderr of a program that was never run. The original checks the syntax of these
 * languages first, and reports a fault as an error of the compiler.
 */
static const struct {
	const char *language;
	const char *start; /* of stderr, after line feeds; NULL: any */
	const char *words; /* somewhere after that */
} syntax_errors[] = {
	{ "python3", "  File \"", "\nSyntaxError:" },
	{ "python3", "  File \"", "\nIndentationError:" },
	{ "python3", "  File \"", "\nTabError:" },
	{ "php", "PHP Parse error:", "" },
	{ "php", "Parse error:", "" },
};

/* ---- errors ------------------------------------------------------------------------------------------------------ */

void
jobe_fail(struct exchange *exchange, const struct http_error *error, const char *header)
{
	adapter_reply_value(&exchange->reply, error->status, header, adapter_reply_clean(error->text));
}

void
jobe_fail_with(struct exchange *exchange, const struct http_error *error)
{
	jobe_fail(exchange, error, NULL);
}

void
jobe_answer_outcome(struct exchange *exchange, enum jobe_outcome outcome, const char *cmpinfo, const char *err)
{
	struct adapter_reply reply = { .piece = NULL };

	adapter_reply_json(&reply, "{\"run_id\":");
	adapter_reply_string(&reply, exchange->request_id);
	adapter_reply_json(&reply, ",\"outcome\":%d,\"cmpinfo\":", outcome);
	adapter_reply_string(&reply, cmpinfo);
	adapter_reply_json(&reply, ",\"stdout\":\"\",\"stderr\":");
	adapter_reply_string(&reply, err);
	adapter_reply_json(&reply, "}");
	adapter_reply_send(&reply, &exchange->reply, 200);
}

/* ---- the reply --------------------------------------------------------------------------------------------------- */

/* A text for a reply: as it is if it is UTF-8, else `owned`, with its odd bytes in hexadecimal. */
struct clean {
	const char *bytes;
	size_t size;
	char *owned;
};

static bool
is_odd(unsigned char c)
{
	return (c < ' ' && c != '\n' && c != '\r' && c != '\t') || c > '~';
}

static struct clean
clean(const struct output *output)
{
	struct clean text = { output->bytes, output->size, NULL };
	size_t size = 0;

	if (json_text_well_formed(output->bytes, output->size) == output->size)
		return text;
	text.owned = malloc(output->size * HEX_SIZE + 1);
	/* Without memory, each odd byte becomes U+FFFD. */
	if (text.owned == NULL)
		return text;
	for (size_t i = 0; i < output->size; i++) {
		unsigned char c = (unsigned char)output->bytes[i];

		if (is_odd(c))
			size += (size_t)sprintf(text.owned + size, "\\x%02x", c);
		else
			text.owned[size++] = (char)c;
	}
	text.bytes = text.owned;
	text.size = size;
	return text;
}

/* Whether the program was never run, because its interpreter found a fault in its syntax. */
static bool
is_syntax_error(const char *language, const struct run *run)
{
	const struct output *err = &run->err;
	size_t at = 0;

	if (run->result.verdict != VERDICT_EXIT || run->out.size > 0)
		return false;
	while (at < err->size && err->bytes[at] == '\n')
		at++;
	for (size_t i = 0; i < sizeof syntax_errors / sizeof syntax_errors[0]; i++) {
		size_t length = strlen(syntax_errors[i].start);

		if (strcmp(syntax_errors[i].language, language) == 0 && err->size - at >= length &&
		    memcmp(err->bytes + at, syntax_errors[i].start, length) == 0 &&
		    memmem(err->bytes + at, err->size - at, syntax_errors[i].words, strlen(syntax_errors[i].words)) != NULL)
			return true;
	}
	return false;
}

/* The outcome, and in `line` what stderr does not say. */
static enum jobe_outcome
describe(const struct run *run, const char *language, char *line, size_t size)
{
	const struct run_result *result = &run->result;
	const char *name = result->signal != 0 ? sigdescr_np(result->signal) : NULL;

	line[0] = '\0';
	switch ((enum verdict)result->verdict) {
	case VERDICT_COMPILE_ERROR:
		return OUTCOME_COMPILE_ERROR;
	case VERDICT_TIMEOUT:
	case VERDICT_CPU_LIMIT:
		return OUTCOME_TIME_LIMIT;
	case VERDICT_OUTPUT_LIMIT:
		/* In the original such a program runs on until its time is over. */
		snprintf(line, size, "output limit exceeded\n");
		return OUTCOME_TIME_LIMIT;
	case VERDICT_MEMORY_LIMIT:
		return OUTCOME_MEMORY_LIMIT;
	case VERDICT_DENIED:
		return OUTCOME_ILLEGAL_SYSCALL;
	case VERDICT_CANCELLED:
	case VERDICT_COUNT:
		return OUTCOME_INTERNAL_ERROR;
	case VERDICT_SIGNAL:
		snprintf(line, size, "terminated with signal %d (%s)\n", result->signal, name != NULL ? name : "unknown");
		return OUTCOME_RUNTIME_ERROR;
	case VERDICT_PROCESS_LIMIT:
		snprintf(line, size, "process limit exceeded\n");
		return OUTCOME_RUNTIME_ERROR;
	case VERDICT_DISK_LIMIT:
		snprintf(line, size, "disk limit exceeded\n");
		return OUTCOME_RUNTIME_ERROR;
	case VERDICT_EXIT:
	case VERDICT_OK:
		break;
	}
	if (is_syntax_error(language, run))
		return OUTCOME_COMPILE_ERROR;
	/* The original looks at stderr, and not at the exit code. */
	return run->err.size > 0 ? OUTCOME_RUNTIME_ERROR : OUTCOME_SUCCESS;
}

/* The line that is missing in the output of a compiler that met a limit. */
static const char *
compiler_line(const struct run *run)
{
	switch ((enum verdict)run->compilation.result.verdict) {
	case VERDICT_TIMEOUT:
	case VERDICT_CPU_LIMIT:
		return "the compiler exceeded its time limit\n";
	case VERDICT_MEMORY_LIMIT:
		return "the compiler exceeded its memory limit\n";
	default:
		/* The client looks whether this is empty. */
		return run->err.size > 0 ? "" : "the compiler failed\n";
	}
}

void
jobe_answer(const struct jobe_submission *submission, const struct run_request *request)
{
	const struct run *run = &submission->worker->run;
	char line[96];
	enum jobe_outcome outcome = describe(run, submission->name, line, sizeof line);
	bool is_compile_error = outcome == OUTCOME_COMPILE_ERROR;
	struct clean out = clean(&run->out), err = clean(&run->err);
	const char *more = run->result.verdict == VERDICT_COMPILE_ERROR ? compiler_line(run) : line;
	struct adapter_reply reply = { .piece = NULL };

	adapter_reply_json(&reply, "{\"run_id\":");
	adapter_reply_string(&reply, submission->exchange->request_id);
	adapter_reply_json(&reply, ",\"outcome\":%d,\"cmpinfo\":\"", outcome);
	if (is_compile_error) {
		adapter_reply_inside(&reply, err.bytes, err.size);
		adapter_reply_inside(&reply, more, strlen(more));
	}
	adapter_reply_json(&reply, "\",\"stdout\":");
	adapter_reply_text(&reply, out.bytes, out.size);
	adapter_reply_json(&reply, ",\"stderr\":\"");
	if (!is_compile_error) {
		adapter_reply_inside(&reply, err.bytes, err.size);
		adapter_reply_inside(&reply, more, strlen(more));
	}
	adapter_reply_json(&reply, "\",\"ignored\":%s,",
	    json_object_to_json_string_ext(submission->ignored, JSON_C_TO_STRING_PLAIN));
	adapter_reply_facts(&reply, run, submission->worker->config, request);
	adapter_reply_json(&reply, "}");
	adapter_reply_send(&reply, &submission->exchange->reply, 200);
	free(out.owned);
	free(err.owned);
}

void
jobe_answer_refusal(struct exchange *exchange, struct http_error *error)
{
	if (error->status == 404) {
		http_error_set(error, 404, JOBE_MISSING);
		jobe_fail_with(exchange, error);
	} else if (error->status == 400) {
		jobe_fail_with(exchange, error);
	} else if (strcmp(exchange->outcome, "rate") == 0) {
		http_error_set(error, 429, "Max RUN rate for this server exceeded");
		jobe_fail_with(exchange, error);
	} else if (error->status == 429 || error->status == 503) {
		jobe_answer_outcome(exchange, OUTCOME_OVERLOAD, "", "");
	} else {
		jobe_answer_outcome(exchange, OUTCOME_INTERNAL_ERROR, "", error->text);
	}
}
