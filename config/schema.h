/*
 * schema: what can be said from the key table and a loaded configuration: JSON Schema, `config
 * show`, `explain`, the difference between two configurations, and the nearest word for a misspelt
 * one. Pure; any thread.
 */
#ifndef PILLION_CONFIG_SCHEMA_H
#define PILLION_CONFIG_SCHEMA_H

#include "base/buf.h"
#include "config/config.h"

/* JSON Schema 2020-12 of a file (CF-26). */
void config_schema_print(const struct config_filter_plugin *const *plugins, size_t plugin_count,
	struct buf *ret_text);

struct config_show_options {
	bool effective;	     /* every key with its value; else what was written */
	bool origin;	     /* adds where each value comes from */
	const char *pointer; /* only the part below; NULL or "": all */
};

/* JSON (with // comments for origins), secrets as "<redacted>" (CF-27). False: no such pointer. */
bool config_show(const struct config *config, const struct config_show_options *options,
	struct buf *ret_text);

/* "/service/app/check", "service.app.check" or a bare key name: type, default, range, class, help
 * of every key of that spelling. False when there is none. */
bool config_explain(const char *key, struct buf *ret_text);

enum config_change_op { CONFIG_ADDED, CONFIG_REMOVED, CONFIG_CHANGED };

struct config_change {
	enum config_change_op op;
	const char *pointer;
	const char *old_text; /* JSON text; NULL: added */
	const char *new_text; /* NULL: removed */
	enum config_class effect;
	const char *origin; /* "pillion.json:27:27", "env PILLION_APP", ... */
};

struct config_changes {
	struct config_change *items; /* in the order of the key table */
	size_t count;
	bool needs_restart; /* some item is of class R: PIL2201 */
	struct arena arena;
};

/* By meaning: named things by name, defaults explicit (RL-05). Fini it. */
void config_diff(const struct config *before, const struct config *after,
	struct config_changes *ret_changes);
void config_changes_fini(struct config_changes *changes);
/* One aligned line a change (RL-04), or one JSON array (RL-05). */
void config_changes_print(const struct config_changes *changes, bool json, struct buf *ret_text);
const char *config_class_text(enum config_class change); /* "next exchange", ... */

/*
 * Index of the candidate nearest to the word, or -1 when none is near enough (CF-23): optimal
 * string alignment distance at most max(1, length / 3), case folded, "-" equal to "_"; ties: first.
 */
int config_nearest(struct slice word, const char *const *candidates, size_t count);

#endif
