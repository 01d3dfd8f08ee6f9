/*
 * load: files, environment and flags -> one checked struct config (operations.md CF-01..27, ZC-01).
 * All errors are reported at once; nothing is ever half loaded. Blocking file reads: control thread
 * or start-up, never a worker.
 */
#ifndef PILLION_CONFIG_LOAD_H
#define PILLION_CONFIG_LOAD_H

#include "base/err.h"
#include "config/config.h"
#include "config/report.h"

/* "/service/app/address" = JSON text or plain string, with the word that `config show` names it by.
 */
struct config_assignment {
	const char *pointer; /* a final "/-" appends to a list */
	const char *value;
	bool is_json;	    /* value is JSON text; else it is taken as a string */
	const char *origin; /* "flag --port", "--set" */
};

struct config_sources {
	const char *file;   /* -c FILE; NULL: PILLION_CONFIG and the implicit places (CF-01) */
	bool stdin_allowed; /* file "-" reads standard input: check and config only */
	bool no_file;	    /* look for none */
	const char *text; /* use this text instead of reading `file` (reload of last-good, tests) */
	size_t text_size;
	const char *const *environment; /* NULL-terminated "NAME=value"; NULL: none */
	const struct config_assignment *assignments;
	size_t assignment_count;
	const struct config_filter_plugin *const *plugins;
	size_t plugin_count;
	const char *fallback_name; /* base name of the command: used when nobody names the service
				      and it has the form of a name (ZC-02); NULL: none */
};

/*
 * 0 and *ret_config, or -EINVAL with at least one error in the report. Warnings alone never fail.
 * The report is initialised by the caller and sorted on return.
 */
int config_load(const struct config_sources *sources, struct config **ret_config,
	struct config_report *report) MUST_CHECK;

/*
 * ZC-02: with registry.kind = raft somebody must say which cluster. identity: the data directory
 * knows one. Adds PIL1230 to the report and returns false when nobody says.
 */
bool config_registry_decided(
	const struct config *config, bool identity, struct config_report *report);

/* The flags that write keys, shared by every verb that reads a configuration. */
struct config_flag {
	const char *name;     /* "--port" */
	const char *argument; /* "N"; NULL: takes none */
	const char *help;
};

size_t config_flag_count(void);
const struct config_flag *config_flag_at(size_t index);

/* Collects assignments; memory is its own. */
struct config_flags {
	struct config_assignment *items;
	size_t count;
	size_t capacity;
	struct arena arena;
};

void config_flags_init(struct config_flags *flags);
void config_flags_fini(struct config_flags *flags);
/*
 * name "--port", value the argument (NULL where it takes none). 0; -ENOENT: no such flag; -EINVAL:
 * the value cannot be used, err says why (exit 2).
 */
int config_flags_add(struct config_flags *flags, const char *name, const char *value,
	struct err *err) MUST_CHECK;

#endif
