/* path_fault.h - checks the path of a file in a request. */
#ifndef CELLBLOCK_PATH_FAULT_H
#define CELLBLOCK_PATH_FAULT_H

#include "text.h"

/*
 * The fault of a path, or of a pattern of paths, as the end of an error; NULL: it is good. A good
 * one is relative, holds no NUL, and leads through no "." and no "..".
 */
const char *path_fault(const struct text *path);

#endif
