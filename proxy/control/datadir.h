/*
 * datadir: which directory keeps what outlives a process, and its lock (operations.md PR-02,
 * ZC-02). Control thread, at start only.
 */
#ifndef PILLION_CONTROL_DATADIR_H
#define PILLION_CONTROL_DATADIR_H

#include <stdbool.h>

#include "base/err.h"

struct datadir {
	char *path;	/* absolute; NULL: no writable one, nothing is kept */
	int lock;	/* flock'ed descriptor, -1 */
	bool temporary; /* --dev: removed at the end */
	char *name; /* last element: "orders", or "orders.2" when another sidecar holds the first */
};

struct datadir_options {
	const char *configured; /* process.data_dir or --data-dir; NULL: search */
	const char *name;	/* service name */
	bool append_name;	/* `run` without a file: NAME below the shared places too */
	bool temporary;		/* --dev */
	bool required;		/* a replica cannot do without */
};

/* 0; -EBUSY (PIL2010) a running sidecar holds it; -EACCES and others (PIL2011). Without `required`
 * an unusable directory is no error: path stays NULL and err says why. */
MUST_CHECK int datadir_open(
	const struct datadir_options *options, struct datadir *ret_directory, struct err *err);
/* Unlocks; removes the tree of a temporary one. */
void datadir_close(struct datadir *directory);

#endif
