/*
 * descriptor_parse: bytes of a FileDescriptorProto to an ast_file (codec.md DS-03, DS-05). Reads
 * hostile bytes with the engine's own walker; names are checked here, types by descriptor_link.
 * Internal.
 */
#ifndef PILLION_CODEC_DESCRIPTOR_PARSE_H
#define PILLION_CODEC_DESCRIPTOR_PARSE_H

#include "codec/descriptor_file.h"

/* Element of an error text: at most 64 bytes of a name, what is not printable as '?'. */
struct descriptor_label {
	char text[68];
};

struct descriptor_label descriptor_parse_label(struct slice name);

/*
 * The file, in the arena, or NULL and *err (DESCRIPTOR_ERR_READ or _SCHEMA, err->file = source).
 * The bytes and the source must live as long as the arena.
 */
struct ast_file *descriptor_parse_file(
	struct arena *arena, struct slice bytes, const char *source, struct err *err) MUST_CHECK;

/*
 * The next FileDescriptorProto of a FileDescriptorSet: advances *set past it. 1: found, 0: the end,
 * -EBADMSG: *err is filled.
 */
int descriptor_parse_next_file(
	struct slice *set, const char *source, struct slice *ret_file, struct err *err) MUST_CHECK;

#endif
