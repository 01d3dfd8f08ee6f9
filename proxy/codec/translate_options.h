/*
 * translate_options: how one message is translated (codec.md 14; LM-01, LM-02). Plain values that
 * the caller keeps; translate_options_init gives the defaults of the table.
 */
#ifndef PILLION_CODEC_TRANSLATE_OPTIONS_H
#define PILLION_CODEC_TRANSLATE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CODEC_DEPTH_MAX	    200 /* LM-02: bounds the engine's recursion */
#define CODEC_DEPTH_DEFAULT 100
#define CODEC_MESSAGE_MAX   ((size_t)4 << 20)
#define CODEC_JSON_MAX	    ((size_t)8 << 20)
/* Bytes past the end of every input that must be readable, whatever they hold (EN-02). */
#define CODEC_SLACK 16

enum codec_any_unknown {
	CODEC_ANY_ERROR, /* WK-03 */
	CODEC_ANY_RAW,
};

struct codec_options {
	bool ignore_unknown; /* JN-02 */
	bool proto_names;    /* JN-01 */
	bool emit_defaults;  /* JN-03 */
	bool enum_numbers;   /* enums are printed as numbers */
	bool enum_any_case;  /* enum names are read whatever their case */
	bool int64_numbers;  /* OP-01 */
	bool check_required; /* JN-06 */
	enum codec_any_unknown any_unknown;
	uint32_t max_depth; /* 1..CODEC_DEPTH_MAX */
	size_t max_message; /* bytes of wire, in and out */
	size_t max_json;    /* bytes of JSON, in and out */
};

void translate_options_init(struct codec_options *options);

#endif
