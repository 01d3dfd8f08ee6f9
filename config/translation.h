/*
 * translation: options of JSON <-> protobuf (codec.md 14), global and per called service; the
 * narrower one already has the wider one's values merged in. Owned by the configuration.
 */
#ifndef PILLION_CONFIG_TRANSLATION_H
#define PILLION_CONFIG_TRANSLATION_H

#include "config/value.h"

/* What the application speaks (codec.md CX-04); the order is that of the words in keys.def. */
enum config_format {
	CONFIG_FORMAT_AUTO,
	CONFIG_FORMAT_GRPC,
	CONFIG_FORMAT_JSON,
	CONFIG_FORMAT_OPAQUE
};

enum config_any_unknown { CONFIG_ANY_ERROR, CONFIG_ANY_RAW };

struct config_translation {
	CONFIG_LIST_OF(enum config_format)
	app; /* "auto" alone, or formats in order of preference */
	CONFIG_LIST_OF(const char *) descriptors; /* paths of descriptor sets, resolved */
	bool reflection;			  /* ask the application for its schema (RF-01) */
	int64_t reflection_refresh_ms;
	int64_t schema_wait_ms; /* how long the first requests wait for it; 0: not */
	bool ignore_unknown;	/* of JSON fields */
	bool proto_names;
	bool emit_defaults;
	bool enum_numbers;
	bool enum_any_case;
	bool int64_numbers;
	bool check_required;
	enum config_any_unknown any_unknown;
	uint64_t max_message;
	uint64_t max_json;
	int max_depth;
	uint64_t memory; /* bound of what all exchanges gather; the global one counts */
};

#endif
