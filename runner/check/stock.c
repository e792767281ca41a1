/* stock.c - see stock.h. */
#define _GNU_SOURCE
#include "check/stock.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "warden/tree_stock.h"

int
stock(const struct config *config, const char *trees)
{
	char *end, error[512];
	unsigned long count = strtoul(trees, &end, 10);

	if (trees[0] < '0' || trees[0] > '9' || *end != '\0' || count < 1 || count > STOCK_TREES_MAX) {
		fprintf(stderr, "--make-stock: must be a number from 1 to %d\n", STOCK_TREES_MAX);
		return 2;
	}
	if (tree_stock_make(config, (uint32_t)count, error, sizeof error) != 0) {
		fprintf(stderr, "%s: %s\n", config->path, error);
		return 1;
	}
	printf("%s has %lu trees\n", config->chroot_stock, count);
	return 0;
}
