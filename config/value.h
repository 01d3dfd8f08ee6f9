/*
 * value: the small value types that configuration structs are made of. All pointers point into the
 * arena of the configuration that holds them and die with it. Read-only after load; any thread.
 */
#ifndef PILLION_CONFIG_VALUE_H
#define PILLION_CONFIG_VALUE_H

#include <stddef.h>
#include <stdint.h>

#include "base/address.h"

/* A list of values of one type. Every such list has this layout, so that the tables can fill it. */
#define CONFIG_LIST_OF(type)                                                                       \
	struct {                                                                                   \
		type *items;                                                                       \
		size_t count;                                                                      \
	}

struct config_list {
	void *items;
	size_t count;
};

/* One entry of a map from text to text. */
struct config_pair {
	const char *name;
	const char *value;
};

/* "10.0.0.5:7440", "[::1]:7440", "unix:/run/app.sock"; text "off" and address.size 0 where off. */
struct config_address {
	const char *text;
	struct address address;
};

/* "host:7440": the host may be a name; without brackets. */
struct config_host {
	const char *text; /* as written */
	const char *host; /* NULL: not set */
	uint16_t port;
};

/* "10.0.0.0/8", "::1". */
struct config_prefix {
	const char *text;
	struct address_prefix prefix;
};

/* An entry of egress.allow: a prefix, an address or a name, with or without a port. */
struct config_egress_entry {
	const char *text;
	const char *host; /* lower case, without port; "*.example.com" matches any first labels */
	uint16_t port;	  /* 0: any */
	bool is_prefix;	  /* prefix is valid and compared with the address that is dialled */
	struct address_prefix prefix;
};

enum config_output_kind {
	CONFIG_OUTPUT_STDOUT,
	CONFIG_OUTPUT_STDERR,
	CONFIG_OUTPUT_OFF,
	CONFIG_OUTPUT_FILE,
};

struct config_output {
	enum config_output_kind kind;
	const char *path; /* of a file, resolved; else NULL */
};

#endif
