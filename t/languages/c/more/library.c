#include <complex.h>
#include <locale.h>
#include <math.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>

static int
compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int
main(void)
{
	const char *words[] = { "pear", "apple", "fig" };
	regmatch_t match[2];
	regex_t regex;
	time_t start = 86400;
	char text[64];
	struct stat st;
	FILE *file = fopen("note.txt", "w+");

	qsort(words, 3, sizeof *words, compare);
	printf("%s %s %s\n", words[0], words[1], words[2]);
	printf("%.6f %.3f\n", sqrt(2), cabs(3 + 4 * I));
	regcomp(&regex, "([0-9]+)x", REG_EXTENDED);
	printf("%d ", regexec(&regex, "ab 12x", 2, match, 0));
	printf("%d\n", (int)match[1].rm_so);
	regfree(&regex);
	strftime(text, sizeof text, "%Y-%m-%d", gmtime(&start));
	puts(text);
	fputs("kept\n", file);
	rewind(file);
	printf("%s", fgets(text, sizeof text, file));
	fclose(file);
	printf("main.c here: %d\n", stat("main.c", &st) == 0);
	setlocale(LC_ALL, "");
	printf("%zu %s\n", wcslen(L"gr\u00fc\u00df"), "gr\u00fc\u00df");
	return 0;
}
