/*
 * memory.h - laying out a zygote's memory so that a fork of it is cheap. On a small virtual machine a page that a guest
 * dirties costs 2 to 3 us, and each page that it merely has 0.1 us.
 */
#ifndef CELLBLOCK_MEMORY_H
#define CELLBLOCK_MEMORY_H

/*
 * Leave no free chunk in the heap but its top. A guest's mallocs would take one here and one there, dirtying (which is
 * copying) a page each; from the top they come side by side. What fills the holes is memory that is there anyway.
 */
void memory_fill_heap(void);

/*
 * Put the interpreter's code into huge pages, where whole ones fit. A file's pages are mapped anew in every fork, by a
 * page fault for each sixteen of them, and unmapped at its end; a huge page of our own comes along with the fork and
 * costs nothing more. Does nothing where the kernel has no huge page to give.
 */
void memory_use_huge_pages(void);

/*
 * Move the interpreter's variables and its heap into a huge page, which is then mapped in small ones, at the addresses
 * where they were. A fork copies, and an end unmaps, neighbours out of one huge page many at a time, and pages from here
 * and there one by one. Before the filter is loaded. Does nothing where the kernel has no huge page to give.
 */
void memory_pack_data(void);

#endif
