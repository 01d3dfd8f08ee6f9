/*
 * The inner end of a path says most, so that is what is kept when the whole does not fit. Names are
 * shown escaped and cut: they come from the peer, and the text goes to logs and terminals (ER-06).
 */
#include "codec/fault_path.h"

#include <stdio.h>

#include "base/assert.h"

void fault_path_init(struct fault_path *path)
{
	path->kind = CODEC_FAULT_NONE;
	path->start = FAULT_PATH_MAX;
	path->cut = false;
}

void fault_path_set(struct fault_path *path, enum codec_fault_kind kind, size_t offset,
	const char *rule, const char *what)
{
	ASSERT(kind != CODEC_FAULT_NONE);
	if (path->kind != CODEC_FAULT_NONE) {
		return;
	}
	path->kind = kind;
	path->offset = offset;
	snprintf(path->rule, sizeof(path->rule), "%s%s", rule, what ? what : "");
}

/* Once something found no room, all that would stand before it is left out too. */
static void prepend(struct fault_path *path, const char *text, size_t size)
{
	if (path->cut || size > path->start) {
		path->cut = true;
		return;
	}
	path->start -= (unsigned)size;
	memcpy(path->text + path->start, text, size);
}

/* Printable ASCII stays; all else, and what would end the name, becomes \xNN. */
static size_t escape(struct slice name, char text[FAULT_NAME_MAX + 8])
{
	static const char hex[] = "0123456789abcdef";
	size_t size = 0;

	for (size_t i = 0; i < name.size; i++) {
		uint8_t c = name.data[i];

		if (size >= FAULT_NAME_MAX - 3) {
			memcpy(text + size, "...", 3);
			return size + 3;
		}
		if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
			text[size++] = (char)c;
		} else {
			text[size++] = '\\';
			text[size++] = 'x';
			text[size++] = hex[c >> 4];
			text[size++] = hex[c & 15];
		}
	}
	ASSERT(size <= FAULT_NAME_MAX + 4);
	return size;
}

void fault_path_field(struct fault_path *path, struct slice name)
{
	char text[FAULT_NAME_MAX + 10];

	text[0] = '.';
	prepend(path, text, 1 + escape(name, text + 1));
}

void fault_path_index(struct fault_path *path, size_t index)
{
	char text[32];

	prepend(path, text, (size_t)snprintf(text, sizeof(text), "[%zu]", index));
}

void fault_path_key(struct fault_path *path, struct slice key)
{
	char text[FAULT_NAME_MAX + 12] = "[\"";
	size_t size = 2 + escape(key, text + 2);

	memcpy(text + size, "\"]", 2);
	prepend(path, text, size + 2);
}

/* The parts are bounded so that the whole fits in 256 bytes. */
void fault_path_finish(
	const struct fault_path *path, struct slice root, struct codec_fault *ret_fault)
{
	char name[FAULT_NAME_MAX + 8];
	size_t size = escape(root, name);

	ASSERT(path->kind != CODEC_FAULT_NONE);
	ret_fault->kind = path->kind;
	ret_fault->offset = path->offset;
	snprintf(ret_fault->text, sizeof(ret_fault->text), "%.*s%s%.*s: %s at byte %zu", (int)size,
		name, path->cut ? "..." : "", (int)(FAULT_PATH_MAX - path->start),
		path->text + path->start, path->rule, path->offset);
}
