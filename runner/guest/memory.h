/*
 * memory.h - lays out a zygote's memory so that a fork of it is cheap. On a small virtual machine,
 * a page that a guest writes costs 2 to 3 us, and a page that it only has costs 0.1 us.
 */
#ifndef CELLBLOCK_MEMORY_H
#define CELLBLOCK_MEMORY_H

#include <stddef.h>
#include <stdint.h>

/*
 * Leave no free chunk in the heap except its top. From scattered chunks each malloc(3) of a guest
 * would write, and so copy, a page of its own. From the top they lie side by side. The chunks are
 * filled by allocations that are never freed; their memory exists anyway.
 */
void memory_fill_heap(void);

/*
 * Copy the interpreter's code into huge pages, where whole ones fit. Every fork maps a file's pages
 * anew, with one page fault for sixteen pages, and unmaps them when it ends. A fork gets an
 * anonymous huge page without a fault. Does nothing where the kernel has no huge page to give.
 */
void memory_use_huge_pages(void);

/*
 * Move the interpreter's variables and its heap into one huge page, and map that in small pages at
 * their old addresses. The kernel copies and unmaps neighbours out of one huge page many at a time,
 * and scattered pages one by one. Call this before the filter is loaded. Does nothing where the
 * kernel has no huge page to give.
 */
void memory_pack_data(void);

/*
 * Replace whole pages of anonymous memory by a private mapping of a sealed file with the same
 * content. A fork does not copy the page tables of such a mapping; it reads a page from the file
 * when it first needs it. So this is for memory of which a guest needs little. Call this before the
 * filter is loaded, and write as little as possible to these pages afterwards. Changes nothing
 * where the kernel has no memory for the copy.
 */
void memory_map_file(char *start, size_t size);

/*
 * Returns the bytes that RLIMIT_DATA counts for this process, rounded up to 64 KiB; 0 if that
 * cannot be measured. Call this while there is one thread.
 */
uint64_t memory_data_bytes(void);

#endif
