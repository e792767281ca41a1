/* stock.h - makes the stock of trees for level chroot, when an image is built. */
#ifndef CELLBLOCK_CHECK_STOCK_H
#define CELLBLOCK_CHECK_STOCK_H

#include "config.h"

/*
 * Make the stock (warden/tree_stock.h) with this number of trees, a text from 1 to STOCK_TREES_MAX.
 * Returns the exit status: 0, 1 if it cannot be made, or 2 if the number is wrong.
 */
int stock(const struct config *config, const char *trees);

#define STOCK_TREES_MAX 4096

#endif
