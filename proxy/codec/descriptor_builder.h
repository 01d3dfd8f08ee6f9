/*
 * descriptor_builder: collects files and compiles them into a descriptor_pool (codec.md DS-01..10,
 * LM-05). Files are hostile input. Owner: who created it; one thread; it may take many
 * milliseconds, so it runs where lateness does no harm. All bytes given to it are copied.
 *
 * Files of `google/protobuf`, `google/rpc` and `google/api` that nobody gave come from a built-in
 * set and are in every pool.
 */
#ifndef PILLION_CODEC_DESCRIPTOR_BUILDER_H
#define PILLION_CODEC_DESCRIPTOR_BUILDER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/slice.h"

struct descriptor_builder;
struct descriptor_pool;

#define DESCRIPTOR_SET_MAX   ((size_t)16 << 20) /* LM-05 */
#define DESCRIPTOR_FILES_MAX 4096

#define DESCRIPTOR_ERR_READ   1301 /* PIL: a file cannot be read as a descriptor */
#define DESCRIPTOR_ERR_SCHEMA 1302 /* PIL: a file is read, but breaks a rule of DS-02..DS-07 */

/* DS-04: what a bad file costs. */
enum descriptor_mode {
	DESCRIPTOR_ALL,	  /* everything: configured files */
	DESCRIPTOR_SOUND, /* itself and its importers: reflection */
};

struct descriptor_builder *descriptor_builder_create(enum descriptor_mode mode);
void descriptor_builder_destroy(struct descriptor_builder *builder); /* NULL is allowed */

/*
 * A serialized FileDescriptorSet, or one serialized FileDescriptorProto. `source` names where it
 * came from, for errors. 0 or -EBADMSG with *err filled; the builder is then as before. The same
 * file with equal bytes (but for source_code_info) may come twice.
 */
int descriptor_builder_add_set(struct descriptor_builder *builder, struct slice bytes,
	const char *source, struct err *err) MUST_CHECK;
int descriptor_builder_add_file(struct descriptor_builder *builder, struct slice bytes,
	const char *source, struct err *err) MUST_CHECK;

bool descriptor_builder_has_file(const struct descriptor_builder *builder, struct slice name);
/*
 * True when an added file imports one that is neither added nor built in: the name of the first
 * such file, valid as long as the builder. Ask again after adding it.
 */
bool descriptor_builder_missing_import(struct descriptor_builder *builder, struct slice *ret_name);

/*
 * The pool with one reference, or NULL and *err (DESCRIPTOR_ALL only). Under DESCRIPTOR_SOUND bad
 * files are left out; descriptor_builder_rejected says which. The builder can only be destroyed or
 * asked afterwards.
 */
struct descriptor_pool *descriptor_builder_build(
	struct descriptor_builder *builder, struct err *err) MUST_CHECK;
size_t descriptor_builder_rejected_count(const struct descriptor_builder *builder);
const struct err *descriptor_builder_rejected(
	const struct descriptor_builder *builder, size_t index);

#endif
