/*
 * node: building, walking and locating the tree of what was written.
 */
#include "config/node.h"

#include "base/assert.h"

/* Bytes of a line that are shown before the place, and in all. */
#define PIECE_BEFORE 80
#define PIECE_SIZE   160

struct config_source *config_node_source(struct arena *arena, const char *name, struct slice text)
{
	ASSERT(name != NULL);
	struct config_source *source = arena_alloc(arena, sizeof(*source));

	source->name = arena_string(arena, slice_from_string(name));
	source->text = text;
	source->arena = arena;
	return source;
}

struct config_node *config_node_new(
	struct arena *arena, enum config_node_kind kind, struct config_source *source)
{
	ASSERT(source != NULL);
	struct config_node *node = arena_alloc(arena, sizeof(*node));

	node->kind = kind;
	node->source = source;
	return node;
}

struct config_node *config_node_string(
	struct arena *arena, struct config_source *source, const char *text)
{
	ASSERT(text != NULL);
	struct config_node *node = config_node_new(arena, CONFIG_NODE_STRING, source);

	node->text = arena_copy(arena, slice_from_string(text));
	return node;
}

void config_node_append(struct config_node *parent, struct config_node *child)
{
	ASSERT(parent->kind == CONFIG_NODE_ARRAY || parent->kind == CONFIG_NODE_OBJECT);
	ASSERT(child->next == NULL);
	child->parent = parent;
	if (parent->last != NULL) {
		parent->last->next = child;
	} else {
		parent->first = child;
	}
	parent->last = child;
	parent->count++;
}

/* Linear: objects of the table are small, and the scanner finds doubles by hash. */
struct config_node *config_node_get(const struct config_node *object, struct slice key)
{
	ASSERT(object != NULL);
	if (object->kind != CONFIG_NODE_OBJECT) {
		return NULL;
	}
	for (struct config_node *child = object->first; child != NULL; child = child->next) {
		if (slice_equal(child->key, key)) {
			return child;
		}
	}
	return NULL;
}

/* The child under a token: a key of an object or the decimal index of an array (RFC 6901 4). */
static struct config_node *child_at(const struct config_node *node, struct slice token)
{
	uint64_t index = 0;

	if (node->kind == CONFIG_NODE_OBJECT) {
		return config_node_get(node, token);
	}
	if (node->kind != CONFIG_NODE_ARRAY || token.size == 0 ||
		(token.size > 1 && token.data[0] == '0') ||
		!slice_parse_u64(token, SIZE_MAX, &index)) {
		return NULL;
	}
	for (struct config_node *child = node->first; child != NULL; child = child->next) {
		if (index-- == 0) {
			return child;
		}
	}
	return NULL;
}

/* Takes the next token off a pointer that begins with "/", unescaped into the arena. */
static struct slice next_token(struct arena *arena, struct slice *pointer)
{
	ASSERT(pointer->size > 0 && pointer->data[0] == '/');
	struct slice rest = slice_from(*pointer, 1);
	struct slice raw = slice_make(rest.data, slice_find(rest, '/'));
	char *text = arena_alloc(arena, raw.size + 1);
	size_t size = 0;

	for (size_t i = 0; i < raw.size; i++) {
		char byte = (char)raw.data[i];

		if (byte == '~' && i + 1 < raw.size &&
			(raw.data[i + 1] == '0' || raw.data[i + 1] == '1')) {
			byte = raw.data[++i] == '0' ? '~' : '/';
		}
		text[size++] = byte;
	}
	*pointer = slice_from(rest, raw.size);
	return slice_make(text, size);
}

/* Replaces `old` in its parent's list, keeping the place. */
static void replace_child(struct config_node *old, struct config_node *value)
{
	struct config_node *parent = old->parent;
	struct config_node **link = &parent->first;

	ASSERT(value->next == NULL);
	while (*link != old) {
		link = &(*link)->next;
	}
	*link = value;
	value->next = old->next;
	value->parent = parent;
	value->key = old->key;
	if (parent->last == old) {
		parent->last = value;
	}
}

/*
 * What a flag writes may lie below objects that the file does not have; these are made with the
 * origin of the flag.
 */
bool config_node_set(struct arena *arena, struct config_node *root, struct slice pointer,
	struct config_node *value)
{
	struct config_node *at = root;

	ASSERT(root->kind == CONFIG_NODE_OBJECT);
	if (pointer.size == 0 || pointer.data[0] != '/') {
		return false;
	}
	for (;;) {
		struct slice token = next_token(arena, &pointer);
		struct config_node *child = child_at(at, token);
		bool last = pointer.size == 0;
		bool append = at->kind == CONFIG_NODE_ARRAY && slice_equal(token, SLICE("-"));

		/* Down as far as the way exists, then objects are made for the rest of it. */
		if (child != NULL && !last) {
			at = child;
			continue;
		}
		if (child != NULL) {
			replace_child(child, value);
			return true;
		}
		if (at->kind != CONFIG_NODE_OBJECT && !(append && last)) {
			return false;
		}
		if (!last) {
			bool list = slice_equal(pointer, SLICE("/-"));

			child = config_node_new(arena,
				list ? CONFIG_NODE_ARRAY : CONFIG_NODE_OBJECT, value->source);
		} else {
			child = value;
		}
		child->key = append ? (struct slice){0} : token;
		config_node_append(at, child);
		if (last) {
			return true;
		}
		at = child;
	}
}

/* Tokens are unescaped into memory of this call alone. */
struct config_node *config_node_find(const struct config_node *root, struct slice pointer)
{
	struct arena scratch;
	struct config_node *at = (struct config_node *)(uintptr_t)root;

	arena_init(&scratch);
	while (at != NULL && pointer.size > 0) {
		if (pointer.data[0] != '/') {
			at = NULL;
			break;
		}
		at = child_at(at, next_token(&scratch, &pointer));
	}
	arena_fini(&scratch);
	return at;
}

void config_node_pointer_append(struct buf *pointer, struct slice token)
{
	buf_append_byte(pointer, '/');
	for (size_t i = 0; i < token.size; i++) {
		uint8_t byte = token.data[i];

		if (byte == '~') {
			buf_append_string(pointer, "~0");
		} else if (byte == '/') {
			buf_append_string(pointer, "~1");
		} else {
			buf_append_byte(pointer, byte);
		}
	}
}

/* Pointers are made on demand: most nodes are never complained about. */
static void pointer_of(const struct config_node *node, struct buf *pointer)
{
	if (node->parent == NULL) {
		return;
	}
	pointer_of(node->parent, pointer);
	if (node->parent->kind == CONFIG_NODE_OBJECT) {
		config_node_pointer_append(pointer, node->key);
		return;
	}

	size_t index = 0;

	for (const struct config_node *at = node->parent->first; at != node; at = at->next) {
		index++;
	}
	buf_appendf(pointer, "/%zu", index);
}

const char *config_node_pointer(struct arena *arena, const struct config_node *node)
{
	struct buf pointer;

	ASSERT(node != NULL);
	buf_init(&pointer);
	pointer_of(node, &pointer);
	const char *text = arena_string(arena, buf_slice(&pointer));
	buf_fini(&pointer);
	return text;
}

/* Finds where each line begins, once per source; LF alone counts (CF-04). */
static void index_lines(struct config_source *source)
{
	size_t count = 1;

	if (source->lines != NULL) {
		return;
	}
	for (size_t i = 0; i < source->text.size; i++) {
		count += source->text.data[i] == '\n' ? 1 : 0;
	}
	source->lines = arena_alloc(source->arena, count * sizeof(*source->lines));
	source->line_count = 1;
	for (size_t i = 0; i < source->text.size; i++) {
		if (source->text.data[i] == '\n') {
			source->lines[source->line_count++] = i + 1;
		}
	}
	ASSERT(source->line_count == count);
}

/* Code points in [start, end) of the original bytes: those that are no continuation byte (CF-04).
 */
static int code_points(struct slice text, size_t start, size_t end)
{
	int count = 0;

	for (size_t i = start; i < end; i++) {
		count += (text.data[i] & 0xc0) != 0x80 ? 1 : 0;
	}
	return count;
}

/* A line of a configuration can be megabytes long: only a piece of it goes into the report. */
static void keep_piece(
	struct config_source *source, struct slice line, size_t at, struct config_place *place)
{
	size_t from = at > PIECE_BEFORE ? at - PIECE_BEFORE : 0;
	size_t end = line.size - from > PIECE_SIZE ? from + PIECE_SIZE : line.size;

	while (from > 0 && (line.data[from] & 0xc0) == 0x80) {
		from--;
	}
	while (end < line.size && end > from && (line.data[end] & 0xc0) == 0x80) {
		end--;
	}
	place->source_column = code_points(line, 0, from) + 1;
	place->source = arena_string(source->arena, slice_make(line.data + from, end - from));
}

/*
 * Columns count from the original bytes (CF-04), so the file and any editor agree with the
 * message.
 */
struct config_place config_node_place(struct config_source *source, struct config_span span)
{
	struct config_place place = {.file = source->name};
	size_t low = 0;

	ASSERT(span.start <= span.end);
	if (!source->is_file) {
		return place;
	}
	index_lines(source);

	size_t high = source->line_count;

	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (source->lines[middle] <= span.start) {
			low = middle;
		} else {
			high = middle;
		}
	}

	size_t line_start = source->lines[low];
	struct slice rest = slice_from(source->text, line_start);
	size_t line_size = slice_find(rest, '\n');
	size_t line_end = line_start + line_size;
	size_t end = span.end < line_end ? span.end : line_end;

	/* A byte order mark is no column. */
	if (low == 0 && slice_starts_with(source->text, SLICE("\xef\xbb\xbf"))) {
		line_start += 3;
		rest = slice_from(rest, 3);
		line_size -= 3;
	}
	ASSERT(span.start >= line_start || line_start <= 3);
	if (span.start < line_start) {
		span.start = line_start;
	}
	if (line_size > 0 && rest.data[line_size - 1] == '\r') {
		line_size--;
	}
	place.line = (int)low + 1;
	place.column = code_points(source->text, line_start, span.start) + 1;
	place.end_column = place.column + code_points(source->text, span.start, end);
	if (place.end_column == place.column) {
		place.end_column++;
	}
	keep_piece(source, slice_make(rest.data, line_size), span.start - line_start, &place);
	return place;
}

const char *config_node_origin(struct arena *arena, const struct config_node *node)
{
	struct config_place place = config_node_place(node->source, node->span);
	struct buf text;

	if (place.line == 0) {
		return place.file;
	}
	buf_init(&text);
	buf_appendf(&text, "%s:%d:%d", place.file, place.line, place.column);
	const char *origin = arena_string(arena, buf_slice(&text));
	buf_fini(&text);
	return origin;
}
