/*
 * descriptor_compile: linked files to the tables of pool.h, in one block (codec.md EN-01).
 * Internal.
 */
#ifndef PILLION_CODEC_DESCRIPTOR_COMPILE_H
#define PILLION_CODEC_DESCRIPTOR_COMPILE_H

#include "codec/descriptor_file.h"

/* Every file of the list whose state is AST_LINKED. One reference, owned by the caller. */
struct descriptor_pool *descriptor_compile_pool(struct ast_file *files);

#endif
