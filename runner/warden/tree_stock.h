/*
 * tree_stock.h - level chroot: the stock: trees that were made when the image of a container was
 * built (isolation.chroot_stock).
 *
 * A tree is made of links, and overlayfs copies a file of an image before it makes a link to it. In
 * the step of the build that installs the files, a link is a link. So that step makes the trees,
 * and a language takes one when it needs a tree: nothing is linked or copied at the start.
 *
 * The stock is a directory. Its trees have numbers for names. A tree that nobody has taken has /usr
 * and nothing else. Overlayfs cannot rename a directory of an image, so a tree is used where it is.
 * It is taken by the lock of its directory (flock(2)), and is free again when the last process that
 * has the lock ends.
 */
#ifndef CELLBLOCK_TREE_STOCK_H
#define CELLBLOCK_TREE_STOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"
#include "root_list.h"

/*
 * Make `count` trees of this host's /usr, in the place of those that there are. Called when an
 * image is built, as root. Returns 0, or -1 with a text in `error`.
 */
int tree_stock_make(const struct config *config, uint32_t count, char *error, size_t size);

/*
 * Open the stock for a language with the root `list`, whose other trees are in `trees_fd`. Returns
 * a descriptor, which the caller closes; or -1 with a text in `why`: there is none, its trees are
 * not what `list` wants, or files were installed since it was made.
 */
int tree_stock_open(const struct config *config, const struct rootfs *list, int trees_fd, char *why, size_t size);

/*
 * Take a tree that is free, and remove everything in it but /usr. Returns its descriptor, which
 * holds the lock and is the caller's, and its number; or -1 with errno, ENOENT if none is free.
 */
int tree_stock_take(int stock_fd, uint32_t *number);

/*
 * Open a tree that was taken. With `take`, its lock is taken, too. Returns a descriptor; or -1 with
 * errno, EWOULDBLOCK if another process has the lock.
 */
int tree_stock_open_tree(int stock_fd, uint32_t number, bool take);

/*
 * Remove what earlier runners left in trees that are free. Nothing happens without a stock. Needs
 * CAP_DAC_OVERRIDE and CAP_FOWNER.
 */
void tree_stock_clean(const struct config *config);

#endif
