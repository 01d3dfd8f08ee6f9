/*
 * fault_path: the text of a fault (codec.md ER-06). The path is put together from its end while the
 * calls that found the fault return, so a translation without faults pays nothing for it. Internal.
 */
#ifndef PILLION_CODEC_FAULT_PATH_H
#define PILLION_CODEC_FAULT_PATH_H

#include <stdbool.h>

#include "base/slice.h"
#include "codec/codec_fault.h"

#define FAULT_PATH_MAX	120 /* bytes; of a longer path the outer part is left out */
#define FAULT_NAME_MAX	64  /* escaped bytes of one name */
#define FAULT_RULE_SIZE 48

struct fault_path {
	enum codec_fault_kind kind; /* CODEC_FAULT_NONE: nothing happened yet */
	size_t offset;
	char rule[FAULT_RULE_SIZE];
	unsigned start; /* the path is text[start..] */
	bool cut;
	char text[FAULT_PATH_MAX];
};

void fault_path_init(struct fault_path *path);
/* The first fault counts; what, if not NULL, follows the rule. */
void fault_path_set(struct fault_path *path, enum codec_fault_kind kind, size_t offset,
	const char *rule, const char *what);
/* Before what was put: ".name", "[index]", ["key"]. */
void fault_path_field(struct fault_path *path, struct slice name);
void fault_path_index(struct fault_path *path, size_t index);
void fault_path_key(struct fault_path *path, struct slice key);
/* root: "$" or a message name. */
void fault_path_finish(
	const struct fault_path *path, struct slice root, struct codec_fault *ret_fault);

#endif
