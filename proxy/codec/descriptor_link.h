/*
 * descriptor_link: gives every element of a file its full name and resolves types (codec.md DS-02,
 * DS-03, DS-06, DS-07). Internal.
 */
#ifndef PILLION_CODEC_DESCRIPTOR_LINK_H
#define PILLION_CODEC_DESCRIPTOR_LINK_H

#include "base/map.h"
#include "codec/descriptor_file.h"
#include "codec/key_set.h"

enum link_kind {
	LINK_MESSAGE = 1,
	LINK_ENUM,
	LINK_OTHER, /* values, services, extensions: only their name is taken */
};

struct link_symbol {
	struct link_symbol *next; /* declared by the same file */
	struct slice full_name;
	enum link_kind kind;
	union {
		struct ast_message *message;
		struct ast_enum *enumeration;
	};
};

struct descriptor_linker {
	struct arena *arena;
	struct map symbols;   /* full name -> link_symbol: what other messages may collide with */
	struct key_sets keys; /* names inside of one message */
	struct err *err;      /* may be NULL */
	/* The file being linked, and what has to be undone when it is refused. */
	struct ast_file *file;
	struct link_symbol *declared;
	struct ast_field *extensions;
	size_t messages; /* linked so far, LM-05 */
	size_t services;
};

void descriptor_link_init(struct descriptor_linker *linker, struct arena *arena);
void descriptor_link_fini(struct descriptor_linker *linker);

/*
 * Links one file whose imports are linked. False: *err is filled and no name of the file is known
 * to the linker.
 */
bool descriptor_link_file(
	struct descriptor_linker *linker, struct ast_file *file, struct err *err) MUST_CHECK;

#endif
