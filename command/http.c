/* http.c - see http.h. */
#define _GNU_SOURCE
#include "http.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "autoconfig.h"
#include "say.h"

#define CONNECT_S 10
#define BODY_MOST ((size_t)1 << 30) /* of an answer; the largest that a service can give has 300 MiB as shipped */
#define HEADER_SIZE 256             /* with a key of 200 characters */

struct http {
	const struct settings *settings;
	CURL *curl;
};

/* An answer while it arrives. */
struct arrival {
	struct http *http;
	const struct http_request *request;
	struct http_reply *reply;
	size_t room;
	bool is_for_sink;
};

struct http *
http_open(const struct settings *settings)
{
	struct http *http = calloc(1, sizeof *http);

	if (http == NULL || (http->curl = curl_easy_init()) == NULL)
		say_no_memory();
	http->settings = settings;
	return http;
}

void
http_close(struct http *http)
{
	curl_easy_cleanup(http->curl);
	free(http);
}

/* The value of a header line if it has this name; NULL if not. */
static const char *
value_of(const char *line, size_t size, const char *name)
{
	size_t length = strlen(name);

	if (size <= length || strncasecmp(line, name, length) != 0 || line[length] != ':')
		return NULL;
	return line + length + 1 + strspn(line + length + 1, " ");
}

static size_t
take_header(char *line, size_t one, size_t size, void *context)
{
	struct arrival *arrival = context;
	const char *type, *wanted = arrival->request->sink_type, *after;

	(void)one;
	/* libcurl ends no line with a NUL, but each has a line break. */
	if ((after = value_of(line, size, "Retry-After")) != NULL && *after >= '0' && *after <= '9')
		arrival->reply->retry_after_s = strtol(after, NULL, 10);
	if ((type = value_of(line, size, "Content-Type")) != NULL && arrival->request->sink != NULL)
		arrival->is_for_sink = wanted == NULL || strncasecmp(type, wanted, strlen(wanted)) == 0;
	return size;
}

static int
append(struct arrival *arrival, const char *bytes, size_t size)
{
	struct http_reply *reply = arrival->reply;

	if (size > BODY_MOST - reply->size)
		return -1;
	if (reply->size + size + 1 > arrival->room) {
		size_t room = 2 * (reply->size + size + 1);
		char *body = realloc(reply->body, room);

		if (body == NULL)
			return -1;
		reply->body = body;
		arrival->room = room;
	}
	memcpy(reply->body + reply->size, bytes, size);
	reply->size += size;
	reply->body[reply->size] = '\0';
	return 0;
}

static size_t
take_body(char *bytes, size_t one, size_t size, void *context)
{
	struct arrival *arrival = context;
	long status = 0;
	int taken;

	(void)one;
	curl_easy_getinfo(arrival->http->curl, CURLINFO_RESPONSE_CODE, &status);
	if (status == 200 && arrival->is_for_sink) {
		arrival->reply->was_taken = true;
		taken = arrival->request->sink(arrival->request->context, bytes, size);
	} else {
		taken = append(arrival, bytes, size);
	}
	return taken == 0 ? size : 0;
}

static struct curl_slist *
add_header(struct curl_slist *list, const char *name, const char *value)
{
	char text[HEADER_SIZE];
	struct curl_slist *longer;

	snprintf(text, sizeof text, *value == '\0' ? "%s:" : "%s: %s", name, value);
	longer = curl_slist_append(list, text);
	if (longer == NULL)
		say_no_memory();
	return longer;
}

static void
set_body(CURL *curl, const struct http_request *request)
{
	if (strcmp(request->method, "HEAD") == 0)
		curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
	if (request->file != NULL) {
		rewind(request->file);
		curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
		curl_easy_setopt(curl, CURLOPT_READDATA, request->file);
		curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)request->size);
	} else if (request->body != NULL) {
		curl_easy_setopt(curl, CURLOPT_POST, 1L);
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->body);
		curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->size);
	}
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
}

static void
set_up(struct http *http, const struct http_request *request, struct arrival *arrival, const char *url, char *error)
{
	CURL *curl = http->curl;

	curl_easy_reset(curl); /* the TLS sessions stay */
	curl_easy_setopt(curl, CURLOPT_URL, url);
#if LIBCURL_VERSION_NUM >= 0x075500
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
#else
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS, CURLPROTO_HTTP | CURLPROTO_HTTPS);
#endif
	curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_S);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, request->timeout_s);
	curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L);
	/*
	 * libcurl sends a request again, a POST too, if a connection that it uses again has
	 * ended without an answer. A new connection has no such case.
	 */
	curl_easy_setopt(curl, CURLOPT_FRESH_CONNECT, 1L);
	curl_easy_setopt(curl, CURLOPT_FORBID_REUSE, 1L);
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "cellblock/" PACKAGE_VERSION);
	if (http->settings->ca != NULL)
		curl_easy_setopt(curl, CURLOPT_CAINFO, http->settings->ca);
	curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
	curl_easy_setopt(curl, CURLOPT_HEADERDATA, arrival);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, arrival);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error);
	set_body(curl, request);
}

/* Whether another try would fail in the same way. */
static bool
is_lasting(CURLcode code)
{
	return code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE || code == CURLE_SSL_ISSUER_ERROR ||
	    code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL;
}

void
http_send(struct http *http, const struct http_request *request, struct http_reply *reply)
{
	struct arrival arrival = { .http = http, .request = request, .reply = reply };
	char error[CURL_ERROR_SIZE] = "", *url;
	struct curl_slist *headers = NULL;
	long sent = 0;
	CURLcode code;

	*reply = (struct http_reply){ .retry_after_s = -1 };
	if (asprintf(&url, "%s%s", http->settings->url, request->path) < 0)
		say_no_memory();
	set_up(http, request, &arrival, url, error);
	headers = add_header(headers, "Expect", ""); /* libcurl would wait a second for an answer to it */
	if (request->body != NULL)
		headers = add_header(headers, "Content-Type", "application/json");
	if (request->accept != NULL)
		headers = add_header(headers, "Accept", request->accept);
	if (http->settings->key != NULL)
		headers = add_header(headers, "X-Api-Key", http->settings->key);
	curl_easy_setopt(http->curl, CURLOPT_HTTPHEADER, headers);
	code = curl_easy_perform(http->curl);
	if (code == CURLE_OK) {
		reply->end = HTTP_ANSWERED;
		curl_easy_getinfo(http->curl, CURLINFO_RESPONSE_CODE, &reply->status);
	} else {
		curl_easy_getinfo(http->curl, CURLINFO_REQUEST_SIZE, &sent);
		reply->end = sent > 0 ? HTTP_CUT : is_lasting(code) ? HTTP_DISTRUST : HTTP_NOT_SENT;
		snprintf(reply->error, sizeof reply->error, "%s: %s", http->settings->url,
		    *error != '\0' ? error : curl_easy_strerror(code));
	}
	if (reply->was_taken && request->settle != NULL)
		request->settle(request->context, reply);
	curl_slist_free_all(headers);
	free(url);
}

void
http_reply_free(struct http_reply *reply)
{
	free(reply->body);
	reply->body = NULL;
}
