/* paths.h - paths inside a cell, and inside the root of a zygote. */
#ifndef CELLBLOCK_PATHS_H
#define CELLBLOCK_PATHS_H

#define PATH_BOX "/box" /* the working directory and home of a run; in a zygote's root it holds the driver */
#define PATH_TMP "/tmp"
/*
 * Each cell's user, whatever its uid, and so the same in each environment: interpreters that are
 * started ahead have it before they have a cell.
 */
#define CELL_USER "user"
#define CELL_SHELL "/bin/sh"
#define CELL_HOST_NAME "cellblock" /* at level namespaces */
/*
 * passwd and group are links into PATH_CELL_IDS, which is a cell's own: the directory of its number
 * in PATH_ALL_IDS. At level namespaces that is bound there; at level chroot it is a link.
 */
#define PATH_CELL_IDS "/etc/cell"
#define PATH_ALL_IDS "/etc/cells"
#define PATH_PROC "/proc"
#define PATH_PROGRAMS "/cellblock"                             /* what interpreters and compiled programs are started with */
#define PATH_CERTIFICATES "/etc/ssl/certs/ca-certificates.crt" /* of a run with a network */

/*
 * In the root of a warden, at PATH_TMP, which every cell covers: what its cells have in the place
 * of files of a procfs. The last is the file of one cell.
 */
#define PROC_FILE_CPUINFO "cpuinfo"
#define PROC_FILE_STAT "stat"
#define PROC_FILE_LOADAVG "loadavg"
#define PROC_FILE_MEMINFO "meminfo.%u"

#endif
