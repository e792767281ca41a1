/* store_metrics.c - see store_metrics.h. Runs in the status process. */
#include "store_metrics.h"

#include <inttypes.h>
#include <stddef.h>

#include "store_link.h"

#define OF(member) offsetof(struct store_figures, member)

static const struct {
	const char *name, *type, *help;
	size_t offset;
} figures[] = {
	{ "store_bytes", "gauge", "Bytes of the store that are in use, in whole blocks.", OF(bytes) },
	{ "store_files", "gauge", "Files in the store.", OF(files) },
	{ "store_keys", "gauge", "Keys that have files in the store.", OF(keys) },
	{ "store_uploads", "gauge", "Uploads in progress.", OF(uploads) },
	{ "store_run_bytes", "gauge", "Bytes from the store that runs in progress have.", OF(run_bytes) },
	{ "store_stored_total", "counter", "Files that were stored.", OF(stored) },
	{ "store_found_total", "counter", "Files that were asked for and found.", OF(found) },
	{ "store_missing_total", "counter", "Files that were asked for and not found.", OF(missing) },
	{ "store_evicted_total", "counter", "Files that were removed to make room.", OF(evicted) },
	{ "store_expired_total", "counter", "Files that were removed because nobody used them.", OF(expired) },
	{ "store_deleted_total", "counter", "Files that their keys deleted.", OF(deleted) },
	{ "store_refused_total", "counter", "Uploads that were refused for want of space.", OF(refused) },
};

static void
put(FILE *out, const char *name, const char *type, const char *help, uint64_t value)
{
	fprintf(out, "# HELP cellblock_%s %s\n# TYPE cellblock_%s %s\ncellblock_%s %" PRIu64 "\n", name, help, name, type, name,
	    value);
}

void
store_metrics_put(FILE *out, const struct config *config)
{
	const struct store_request request = { .kind = STORE_FIGURES };
	struct store_link link = { .fd = -1, .is_hasty = true };
	struct store_reply reply;
	int asked;

	if (config->store_bytes == 0)
		return;
	asked = store_link_connect(&link, config) == 0 ? store_link_ask(&link, &request, NULL, &reply) : -1;
	put(out, "store_up", "gauge", "Whether the store answers.", asked == 0);
	put(out, "store_limit_bytes", "gauge", "The most bytes of the store.", config->store_bytes);
	for (size_t i = 0; i < sizeof figures / sizeof figures[0] && asked == 0; i++)
		put(out, figures[i].name, figures[i].type, figures[i].help,
		    *(const uint64_t *)((const char *)&reply.figures + figures[i].offset));
	store_link_close(&link);
}
