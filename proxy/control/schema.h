/*
 * schema: the descriptor pool of the own application: from files (translation.descriptors) compiled
 * on the background thread, or by reflection (codec.md RF-01..04). The pool in force is handed to
 * every worker's translation state. Control thread.
 */
#ifndef PILLION_CONTROL_SCHEMA_H
#define PILLION_CONTROL_SCHEMA_H

#include "base/buf.h"
#include "base/err.h"
#include "config/config.h"

struct control;
struct descriptor_pool;
struct schema;

struct schema *schema_create(struct control *control);
void schema_destroy(struct schema *schema);

/* Reads and compiles the configured files now (start-up, reload: background thread or blocking at
 * start). 0 with *ret_pool NULL when none are configured; PIL1301, 1302 in err. Any thread. */
MUST_CHECK int schema_load(
	const struct config *config, struct descriptor_pool **ret_pool, struct err *err);
/* From now on this pool (or none) comes from files; takes the reference. */
void schema_set_files(struct schema *schema, struct descriptor_pool *pool);
/* The application is ready: reflection begins where the configuration wants it (RF-01). */
void schema_app_ready(struct schema *schema, bool speaks_h2);
/* The application went away; the old pool stays until another digest comes (RF-04). */
void schema_app_down(struct schema *schema);
/* A caller asked for a method that the schema lacks: ask again, at most once in 10 s (RF-04). */
void schema_refresh_unknown(struct schema *schema);
/* NULL: none. Borrowed. */
const struct descriptor_pool *schema_pool(const struct schema *schema);
/* Reflection has answered or was given up: registration need not wait for it any longer. */
bool schema_settled(const struct schema *schema);
/* Does the application answer reflection or have a descriptor (metadata protocol = grpc)? */
bool schema_is_grpc(const struct schema *schema);
const char *schema_source(const struct schema *schema); /* "files", "reflection", "none" */

#endif
