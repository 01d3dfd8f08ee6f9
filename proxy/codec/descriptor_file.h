/*
 * descriptor_file: one FileDescriptorProto, read but not yet linked: its services and what it
 * imports; messages and enums are in descriptor_ast.h. Lies in the arena of the builder. Internal.
 */
#ifndef PILLION_CODEC_DESCRIPTOR_FILE_H
#define PILLION_CODEC_DESCRIPTOR_FILE_H

#include "codec/descriptor_ast.h"

struct ast_method {
	struct ast_method *next;
	struct slice name;
	struct slice input_type;
	struct slice output_type;
	bool client_streaming;
	bool server_streaming;
	enum codec_idempotency idempotency;
	struct ast_message *input; /* by the linker */
	struct ast_message *output;
};

struct ast_service {
	struct ast_service *next;
	struct slice name;
	struct slice full_name;
	struct ast_method *methods;
	struct ast_method **methods_end;
	uint32_t method_count;
};

struct ast_import {
	struct ast_import *next;
	struct slice name;
};

enum ast_state {
	AST_READ,    /* parsed */
	AST_LINKING, /* its imports are being linked: meeting it again is a cycle */
	AST_LINKED,
	AST_REJECTED,
};

struct ast_file {
	struct ast_file *next;
	const char *source; /* where the bytes came from */
	struct slice bare;  /* without source_code_info: what is compared and hashed */
	struct slice name;
	struct slice package;
	struct slice syntax;
	bool proto3;
	bool builtin;
	bool implied; /* built in and asked for by nobody: not part of the digest */
	enum ast_state state;
	struct ast_import *imports;
	struct ast_import **imports_end;
	struct ast_message *messages;
	struct ast_message **messages_end;
	struct ast_enum *enums;
	struct ast_enum **enums_end;
	struct ast_field *extensions;
	struct ast_field **extensions_end;
	struct ast_service *services;
	struct ast_service **services_end;
};

#endif
