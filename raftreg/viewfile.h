/*
 * viewfile: view.bin, what a sidecar last knew, for its next start without a registry (registry.md
 * RV-03, mesh.md MG-03). Written on a thread of its own, at most once a second; read at the start.
 */
#ifndef PILLION_RAFTREG_VIEWFILE_H
#define PILLION_RAFTREG_VIEWFILE_H

#include "base/buf.h"

/* The limit keeps a start from reading a file that cannot be one of ours. */
#define VIEWFILE_NAME	  "view.bin"
#define VIEWFILE_MAX	  (256u * 1024 * 1024)
#define VIEWFILE_EVERY_MS 1000

struct client;

/* Into the client's sets, as not confirmed. What cannot be read is ignored with one log line. */
void viewfile_load(struct client *client);
/* False when malformed; the client may then hold some of it. */
bool viewfile_decode(struct client *client, struct slice file);
void viewfile_encode(const struct client *client, struct buf *ret_file);
/* Starts writing in the background when something changed and the last one is a second old. */
void viewfile_tick(struct client *client, uint64_t now_ms);
/* Writes what is left and waits for it. */
void viewfile_finish(struct client *client);

#endif
