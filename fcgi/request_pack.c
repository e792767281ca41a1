/* request_pack.c - see request_pack.h. Runs in the worker. */
#include "request_pack.h"

#include <stdlib.h>
#include <string.h>

#include "request_tests.h"

/* A place in which a request names a file of the store. */
struct place {
	const char *id;
	uint32_t number; /* among all places */
	uint32_t first;  /* the number of the first one with this id */
};

/* The lists of files of a request, one after the other. NULL: there are no more. */
static const struct request_files *
list_of(const struct run_request *request, size_t number)
{
	const struct request_tests *tests = request->tests;

	if (number == 0)
		return &request->files;
	if (tests == NULL)
		return NULL;
	number--;
	if (number < tests->count)
		return &tests->test[number].files;
	number -= tests->count;
	if (number < tests->programs)
		return &tests->program[number]->files;
	return number == tests->programs && tests->interactor != NULL ? &tests->interactor->files : NULL;
}

bool
request_pack_is_needed(const struct run_request *request)
{
	const struct request_files *files;

	for (size_t i = 0; (files = list_of(request, i)) != NULL; i++) {
		if (files->stored > 0)
			return true;
	}
	return false;
}

/* ---- the list ---------------------------------------------------------------------------------------------------- */

static size_t
count_places(const struct run_request *request)
{
	const struct request_files *files;
	size_t count = 0;

	for (size_t i = 0; (files = list_of(request, i)) != NULL; i++)
		count += files->stored;
	return count;
}

static void
note_places(const struct run_request *request, struct place *place)
{
	const struct request_files *files;
	uint32_t number = 0;

	for (size_t i = 0; (files = list_of(request, i)) != NULL; i++) {
		for (size_t j = 0; j < files->count; j++) {
			if (files->file[j].id == NULL)
				continue;
			place[number] = (struct place){ .id = files->file[j].id, .number = number };
			number++;
		}
	}
}

static int
compare_ids(const void *a, const void *b)
{
	const struct place *left = a, *right = b;
	int order = strcmp(left->id, right->id);

	return order != 0 ? order : left->number < right->number ? -1 : 1;
}

static int
compare_first(const void *a, const void *b)
{
	const struct place *left = a, *right = b;
	uint32_t l = left->first, r = right->first;

	if (l == r) {
		l = left->number;
		r = right->number;
	}
	return l < r ? -1 : 1;
}

int
request_pack_list(const struct run_request *request, struct request_pack *pack)
{
	size_t places = count_places(request);
	struct place *place;

	*pack = (struct request_pack){ .file = NULL };
	if (places == 0)
		return 0;
	place = malloc(places * sizeof *place);
	*pack = (struct request_pack){ .file = malloc(places * sizeof *pack->file),
		.which = malloc(places * sizeof *pack->which),
		.places = places };
	if (place == NULL || pack->file == NULL || pack->which == NULL) {
		free(place);
		return -1;
	}
	note_places(request, place);
	qsort(place, places, sizeof *place, compare_ids);
	for (size_t i = 0; i < places; i++) {
		bool is_first = i == 0 || strcmp(place[i - 1].id, place[i].id) != 0;

		place[i].first = is_first ? place[i].number : place[i - 1].first;
	}
	qsort(place, places, sizeof *place, compare_first);
	for (size_t i = 0; i < places; i++) {
		if (place[i].number == place[i].first)
			pack->file[pack->count++] = (struct pack_file){ .id = place[i].id };
		pack->which[place[i].number] = (uint32_t)pack->count - 1;
	}
	free(place);
	return 0;
}

/* ---- places in the pack ------------------------------------------------------------------------------------------ */

void
request_pack_settle(struct run_request *request, struct request_pack *pack)
{
	const struct request_files *list;
	uint64_t at = 0;
	size_t place = 0;

	for (size_t i = 0; i < pack->count; i++) {
		pack->file[i].at = at;
		at += pack->file[i].size;
	}
	for (size_t i = 0; (list = list_of(request, i)) != NULL; i++) {
		struct request_files *files = (struct request_files *)list;

		for (size_t j = 0; j < files->count; j++) {
			struct request_file *file = &files->file[j];
			const struct pack_file *packed;

			if (file->id == NULL)
				continue;
			packed = &pack->file[pack->which[place++]];
			file->stored_bytes = packed->size;
			file->packed.at = packed->at;
			files->bytes += file->stored_bytes;
		}
	}
}

/* ---- programs ---------------------------------------------------------------------------------------------------- */

struct run_request *
request_pack_program(struct run_request *request, size_t number)
{
	struct request_tests *tests = request->tests;

	if (number == 0)
		return request;
	if (tests == NULL || number - 1 > tests->programs)
		return NULL;
	return number - 1 < tests->programs ? tests->program[number - 1] : tests->interactor;
}

const char *
request_pack_program_label(const struct run_request *request, size_t number)
{
	if (number == 0)
		return "";
	return number - 1 < request->tests->programs ? "checker." : "interactor.";
}

void
request_pack_free(struct request_pack *pack)
{
	free(pack->file);
	free(pack->which);
	*pack = (struct request_pack){ .file = NULL };
}
