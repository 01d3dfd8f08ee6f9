/*
 * client: every sidecar's session with the registry: one stream to any replica, with renewals, one
 * declarative registration, watches that resume (registry.md 7, 8, 9, 10). Control thread. Internal
 * to raftreg; the rest of the program uses the table of upstream/registry.h.
 */
#ifndef PILLION_RAFTREG_CLIENT_H
#define PILLION_RAFTREG_CLIENT_H

#include <stdbool.h>

/* A view.bin that names replicas (ZC-02). */
bool client_knows_replicas(const char *data_dir);

#endif
