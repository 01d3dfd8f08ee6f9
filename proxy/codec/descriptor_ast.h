/*
 * descriptor_ast: what one FileDescriptorProto says, read but not yet linked (codec.md 2). All of
 * it lies in the arena of the builder; slices point into the builder's copy of the file. Internal
 * to the descriptor files.
 */
#ifndef PILLION_CODEC_DESCRIPTOR_AST_H
#define PILLION_CODEC_DESCRIPTOR_AST_H

#include "base/arena.h"
#include "base/err.h"
#include "codec/descriptor.h"

#define AST_NAME_MAX   1024 /* LM-05 */
#define AST_FIELDS_MAX 65535
#define AST_RANGES_MAX 4096 /* extension ranges are searched one after the other */
#define AST_NEST_MAX   32   /* DS-03 */
#define AST_NUMBER_MAX 536870911

enum ast_label {
	AST_OPTIONAL = 1,
	AST_REQUIRED = 2,
	AST_REPEATED = 3,
};

struct ast_field {
	struct ast_field *next; /* in its message, file or scope */
	struct slice name;
	struct slice full_name; /* extensions only: the others are reached by their message */
	struct slice type_name;
	struct slice extendee; /* extensions only */
	struct slice json_name;
	bool has_json_name;
	int32_t number;
	int32_t label;
	int32_t type; /* 0: by type_name */
	int32_t oneof_index;
	bool has_oneof;
	bool proto3_optional;
	bool has_packed;
	bool packed;
	struct ast_file *file;
	/* Filled by the linker. */
	struct ast_message *parent;    /* that declares it; NULL: the file */
	struct ast_message *message;   /* the resolved type */
	struct ast_enum *enumeration;  /* the resolved type */
	struct ast_field *next_extend; /* extensions of one message */
	bool ambiguous;		       /* another field has this JSON name (DS-07) */
	struct ast_message *extends;   /* the resolved extendee */
	struct ast_field *next_linked; /* extensions of one file */
};

struct ast_oneof {
	struct ast_oneof *next;
	struct slice name;
	uint32_t members;   /* counted by the linker */
	uint32_t optionals; /* of those with proto3_optional */
};

struct ast_range {
	struct ast_range *next;
	int32_t start;
	int32_t end; /* exclusive */
};

struct ast_value {
	struct ast_value *next;
	struct slice name;
	int32_t number;
};

struct ast_enum {
	struct ast_enum *next; /* in its scope */
	struct slice name;
	struct slice full_name;
	struct ast_value *values;
	struct ast_value **values_end;
	uint32_t value_count;
	struct ast_file *file;
	uint32_t index; /* in the pool, by the compiler */
};

struct ast_message {
	struct ast_message *next; /* in its scope */
	struct slice name;
	struct slice full_name;
	struct ast_field *fields;
	struct ast_field **fields_end;
	uint32_t field_count;
	struct ast_oneof *oneofs;
	struct ast_oneof **oneofs_end;
	uint32_t oneof_count;
	struct ast_field *extensions; /* declared here, extending anything */
	struct ast_field **extensions_end;
	struct ast_message *nested;
	struct ast_message **nested_end;
	struct ast_enum *enums;
	struct ast_enum **enums_end;
	struct ast_range *ranges;
	uint32_t range_count;
	int32_t *numbers; /* of the fields, sorted, by the linker */
	bool map_entry;
	struct ast_file *file;
	struct ast_field *extended_by; /* by the linker, newest first */
	uint32_t extend_count;
	uint32_t index; /* in the pool, by the compiler */
};

#endif
