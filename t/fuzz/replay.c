/*
 * replay.c - replaces libFuzzer in `make check`: runs the target once for each file of its corpus,
 * as TAP.
 *
 * The corpus is in $srcdir/t/fuzz/corpus/ under the name of this program, unless files are given. A
 * target that finds a fault ends the program, so the plan, which comes last, is missing then.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fuzz.h"

static int count;

static void
replay(const char *path)
{
	FILE *file = fopen(path, "rb");
	const char *name = strrchr(path, '/');
	uint8_t *data = NULL;
	struct stat st;

	/*
	 * The buffer has the exact size of the input, so that a sanitizer detects a read beyond it.
	 */
	must(file != NULL && fstat(fileno(file), &st) == 0);
	must((data = malloc((size_t)st.st_size + (st.st_size == 0))) != NULL);
	must(fread(data, 1, (size_t)st.st_size, file) == (size_t)st.st_size);
	fclose(file);
	printf("# %s\n", path);
	fflush(stdout);
	LLVMFuzzerTestOneInput(data, (size_t)st.st_size);
	free(data);
	printf("ok %d - %s\n", ++count, name != NULL ? name + 1 : path);
}

static int
is_file(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static void
replay_corpus(const char *program)
{
	const char *srcdir = getenv("srcdir"), *slash = strrchr(program, '/');
	struct dirent **entry;
	char *folder;
	int entries;

	must(asprintf(&folder, "%s/t/fuzz/corpus/%s", srcdir != NULL ? srcdir : ".", slash != NULL ? slash + 1 : program) > 0);
	entries = scandir(folder, &entry, is_file, alphasort);
	if (entries <= 0) {
		printf("Bail out! no corpus in %s: %s\n", folder, strerror(errno));
		exit(1);
	}
	for (int i = 0; i < entries; i++) {
		char *path;

		must(asprintf(&path, "%s/%s", folder, entry[i]->d_name) > 0);
		replay(path);
		free(path);
		free(entry[i]);
	}
	free(entry);
	free(folder);
}

int
main(int argc, char **argv)
{
	if (argc == 1)
		replay_corpus(argv[0]);
	for (int i = 1; i < argc; i++)
		replay(argv[i]);
	printf("1..%d\n", count);
	return 0;
}
