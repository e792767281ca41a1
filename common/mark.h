/*
 * mark.h - how a zygote's own system calls are told from those of a program.
 *
 * A zygote and its guests share one filter, and until a program starts a guest has to make calls that no program may. They
 * carry this in their last argument, which none of them uses. So to the filter they are other calls than a program's,
 * which are refused as any refused call is, by name. It is no secret: before a program starts, the marked calls are
 * taken away as well.
 */
#ifndef CELLBLOCK_MARK_H
#define CELLBLOCK_MARK_H

#define ZYGOTE_MARK 0x63656c6c626c6f63ul
#define ZYGOTE_MARK_ARG 5

#endif
