/*
 * Two walks over the linked files: the first numbers messages and enums, so that fields may name
 * types that are compiled later, the second fills growing arrays, which one block takes over in the
 * end. All that the hot paths ask at run time is decided here: tags, key texts, presence, packing.
 */
#include "codec/descriptor_compile.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/siphash.h"
#include "codec/descriptor_wkt.h"
#include "codec/wire.h"

#define DENSE_BASE   64 /* EN-01: dense index for numbers up to min(64 + 4 x fields, 1024) */
#define DENSE_FACTOR 4
#define DENSE_MAX    1024
#define TEXT_SLACK   32
#define BLOCK_ALIGN  16

/* The arrays while they grow; the pool of their elements is the block in the end. */
struct compiler {
	struct buf messages;
	struct buf fields;
	struct buf enums;
	struct buf values;
	struct buf slots;
	struct buf indexes;
	struct buf text;
	struct buf services;
	struct buf methods;
	uint32_t message_count;
	uint32_t enum_count;
};

#define COUNT(buf, type) ((uint32_t)((buf)->size / sizeof(type)))

/* Zeroed room at the end of an array. */
static void *grow(struct buf *buf, size_t size)
{
	uint8_t *room = buf_reserve(buf, size);

	memset(room, 0, size);
	buf->size += size;
	return room;
}

/* All texts of the pool stand in one array, one behind the other. */
static uint32_t add_text(struct compiler *c, struct slice text)
{
	uint32_t offset = (uint32_t)c->text.size;

	buf_append_slice(&c->text, text);
	return offset;
}

/* `,"name":` with the name escaped as JS-03 says. */
static uint32_t add_key(struct compiler *c, struct slice name, uint16_t *ret_size)
{
	static const char hex[] = "0123456789abcdef";
	uint32_t offset = (uint32_t)c->text.size;
	uint8_t *start = buf_reserve(&c->text, 6 * name.size + 4);
	uint8_t *out = start;

	*out++ = ',';
	*out++ = '"';
	for (size_t i = 0; i < name.size; i++) {
		uint8_t byte = name.data[i];

		if (byte == '"' || byte == '\\') {
			*out++ = '\\';
		}
		if (byte >= 0x20) {
			*out++ = byte;
			continue;
		}
		memcpy(out, "\\u00", 4);
		out[4] = (uint8_t)hex[byte >> 4];
		out[5] = (uint8_t)hex[byte & 15];
		out += 6;
	}
	*out++ = '"';
	*out++ = ':';
	ASSERT(out - start <= UINT16_MAX);
	*ret_size = (uint16_t)(out - start);
	c->text.size += *ret_size;
	return offset;
}

/* A hash table, at most three quarters full; returns its place in the slots and its mask. */
static uint32_t add_slots(struct compiler *c, uint32_t entries, uint32_t *ret_mask)
{
	uint32_t size = 4;
	uint32_t first = COUNT(&c->slots, struct pool_slot);

	while (size * 3 < entries * 4 + 4) {
		size *= 2;
	}
	grow(&c->slots, size * sizeof(struct pool_slot));
	*ret_mask = size - 1;
	return first;
}

/* Linear probing; there is always an empty slot. */
static void put_slot(struct compiler *c, uint32_t first, uint32_t mask, struct pool_slot slot)
{
	struct pool_slot *slots = (struct pool_slot *)(void *)c->slots.data + first;
	uint32_t i = slot.hash & mask;

	ASSERT(slot.ref != 0);
	while (slots[i].ref) {
		i = (i + 1) & mask;
	}
	slots[i] = slot;
}

/* Only until the next text is added. */
static struct slice text_at(struct compiler *c, uint32_t offset, size_t size)
{
	ASSERT(offset + size <= c->text.size);
	return slice_make(c->text.data + offset, size);
}

/* Numbers, bools and enums (WI-02). */
static bool is_packable(int32_t type)
{
	return type != POOL_STRING && type != POOL_BYTES && type != POOL_MESSAGE &&
	       type != POOL_GROUP;
}

/* Of one value that is not packed. */
static enum wire_type wire_type_of(enum pool_kind kind, bool delimited)
{
	switch (kind) {
	case POOL_DOUBLE:
	case POOL_FIXED64:
	case POOL_SFIXED64:
		return WIRE_FIXED64;
	case POOL_FLOAT:
	case POOL_FIXED32:
	case POOL_SFIXED32:
		return WIRE_FIXED32;
	case POOL_STRING:
	case POOL_BYTES:
	case POOL_GROUP:
	case POOL_MESSAGE:
		return delimited ? WIRE_START : WIRE_LENGTH;
	case POOL_INT64:
	case POOL_UINT64:
	case POOL_INT32:
	case POOL_BOOL:
	case POOL_UINT32:
	case POOL_ENUM:
	case POOL_SINT32:
	case POOL_SINT64:
		return WIRE_VARINT;
	}
	return WIRE_VARINT;
}

/* DS-06: label, type and options become features. */
static unsigned field_flags(const struct ast_field *field, bool in_map_entry)
{
	bool proto3 = field->file->proto3;
	unsigned flags = 0;

	if (field->label == AST_REPEATED) {
		flags |= POOL_REPEATED;
		if (field->message && field->message->map_entry) {
			flags |= POOL_MAP;
		}
		if (is_packable(field->type) && (field->has_packed ? field->packed : proto3)) {
			flags |= POOL_PACKED;
		}
	} else if (!proto3 || field->message || field->has_oneof || field->proto3_optional ||
		   in_map_entry) {
		flags |= POOL_PRESENCE;
	}
	flags |= field->label == AST_REQUIRED ? POOL_REQUIRED : 0;
	flags |= field->type == POOL_GROUP ? POOL_DELIMITED : 0;
	flags |= field->ambiguous ? POOL_AMBIGUOUS : 0;
	if (field->enumeration) {
		bool closed = !field->enumeration->file->proto3;
		struct slice null_value = SLICE("google.protobuf.NullValue");

		flags |= closed ? POOL_CLOSED : 0;
		flags |= slice_equal(field->enumeration->full_name, null_value) ? POOL_NULL : 0;
	}
	return flags;
}

/* The tag is kept encoded as well, so writing it is one store. */
static void set_tag(struct pool_field *to)
{
	uint8_t bytes[WIRE_VARINT_MAX] = {0};
	bool delimited = (to->flags & POOL_DELIMITED) != 0;
	enum wire_type one = wire_type_of((enum pool_kind)to->kind, delimited);
	enum wire_type written = to->flags & POOL_PACKED ? WIRE_LENGTH : one;

	to->wire = (uint8_t)one;
	to->tag = to->number << 3 | (uint32_t)written;
	to->tag_size = (uint8_t)(wire_put_varint(bytes, to->tag) - bytes);
	to->tag_bytes = wire_load64(bytes);
	ASSERT(to->tag_size <= WIRE_TAG_MAX);
}

/* Key texts are escaped here, once, and never again. */
static void set_names(struct compiler *c, struct pool_field *to, const struct ast_field *field)
{
	struct slice json_name = field->json_name;
	struct slice proto_name = field->name;
	struct buf bracketed;

	buf_init(&bracketed);
	if (field->extends) {
		/* DS-08: extensions are keyed "[full.name]". */
		buf_append_byte(&bracketed, '[');
		buf_append_slice(&bracketed, field->full_name);
		buf_append_byte(&bracketed, ']');
		json_name = proto_name = buf_slice(&bracketed);
	}
	to->proto_key = add_key(c, proto_name, &to->proto_key_size);
	to->key = to->proto_key;
	to->key_size = to->proto_key_size;
	if (!slice_equal(json_name, proto_name) && !field->ambiguous) {
		to->key = add_key(c, json_name, &to->key_size);
	}
	to->name_size = (uint16_t)json_name.size;
	to->name = to->key + 2;
	if (field->ambiguous || to->key_size != json_name.size + 4) {
		to->name = add_text(c, json_name);
	}
	buf_fini(&bracketed);
}

/* A group is a message field with other framing (DS-08). */
static void add_field(struct compiler *c, const struct ast_message *message,
	const struct ast_field *field, uint32_t index, const uint32_t *oneof_bits)
{
	struct pool_field to = {.index = index, .number = (uint32_t)field->number};

	ASSERT(field->type >= POOL_DOUBLE && field->type <= POOL_SINT64);
	to.kind = (uint8_t)(field->type == POOL_GROUP ? POOL_MESSAGE : field->type);
	to.flags = (uint16_t)field_flags(field, message->map_entry);
	to.oneof = DESCRIPTOR_NONE;
	if (field->has_oneof && !field->extends) {
		to.oneof = oneof_bits[field->oneof_index];
	}
	if (field->message) {
		to.sub = field->message->index;
		to.wkt = (uint8_t)descriptor_wkt_find(field->message->full_name);
	} else if (field->enumeration) {
		to.sub = field->enumeration->index;
	}
	set_tag(&to);
	set_names(c, &to, field);
	buf_append(&c->fields, &to, sizeof(to));
}

/* For qsort; the keys are all different. */
static int compare_sorted(const void *a, const void *b)
{
	const uint64_t *left = a;
	const uint64_t *right = b;

	return *left < *right ? -1 : *left > *right;
}

/* Keys are number << 16 | index, so that equal numbers keep their order. */
static void sort_keys(uint64_t *keys, uint32_t count)
{
	qsort(keys, count, sizeof(*keys), compare_sorted);
}

/* EN-01: small numbers by index, the others by binary search. */
static void index_fields(struct compiler *c, struct pool_message *to)
{
	const struct pool_field *fields =
		(const struct pool_field *)(void *)c->fields.data + to->first_field;
	uint64_t *keys = mem_alloc((to->field_count + 1) * sizeof(*keys));
	uint32_t limit = DENSE_BASE + DENSE_FACTOR * to->field_count;
	uint32_t highest = 0;
	uint32_t sparse = 0;
	uint16_t *dense;

	for (uint32_t i = 0; i < to->field_count; i++) {
		highest = fields[i].number > highest ? fields[i].number : highest;
	}
	limit = limit > DENSE_MAX ? DENSE_MAX : limit;
	to->dense_limit = highest + 1 < limit ? highest + 1 : limit;
	to->dense = COUNT(&c->indexes, uint16_t);
	dense = grow(&c->indexes, to->dense_limit * sizeof(*dense));
	for (uint32_t i = 0; i < to->field_count; i++) {
		if (fields[i].number < to->dense_limit) {
			dense[fields[i].number] = (uint16_t)(i + 1);
		} else {
			keys[sparse++] = (uint64_t)fields[i].number << 16 | i;
		}
	}
	sort_keys(keys, sparse);
	to->sorted = COUNT(&c->indexes, uint16_t);
	to->sorted_count = sparse;
	for (uint32_t i = 0; i < sparse; i++) {
		uint16_t index = (uint16_t)keys[i];

		buf_append(&c->indexes, &index, sizeof(index));
	}
	mem_free(keys);
}

/* Both spellings of a name lead to the field. */
static void hash_fields(struct compiler *c, struct pool_message *to)
{
	const struct pool_field *fields =
		(const struct pool_field *)(void *)c->fields.data + to->first_field;
	uint32_t names = 0;

	for (uint32_t i = 0; i < to->field_count; i++) {
		names += 1u + (fields[i].name != fields[i].proto_key + 2);
	}
	to->slots = add_slots(c, names, &to->slot_mask);
	for (uint32_t i = 0; i < to->field_count; i++) {
		const struct pool_field *f = fields + i;
		struct slice json = text_at(c, f->name, f->name_size);
		struct slice proto = text_at(c, f->proto_key + 2, (size_t)f->proto_key_size - 4);
		struct pool_slot slot = {pool_hash(json.data, json.size, 0), (i + 1) * 2};

		put_slot(c, to->slots, to->slot_mask, slot);
		if (!slice_equal(json, proto)) {
			slot.hash = pool_hash(proto.data, proto.size, 0);
			slot.ref++;
			put_slot(c, to->slots, to->slot_mask, slot);
		}
	}
}

/* Bits behind those of the fields; a synthetic oneof has none (DS-06). */
static uint32_t *number_oneofs(const struct ast_message *message, uint32_t *ret_bits)
{
	uint32_t *bits = mem_alloc((message->oneof_count + 1) * sizeof(*bits));
	uint32_t count = 0;

	for (const struct ast_oneof *oneof = message->oneofs; oneof; oneof = oneof->next) {
		bool synthetic = oneof->members == 1 && oneof->optionals == 1;

		bits[count++] = synthetic ? DESCRIPTOR_NONE : (*ret_bits)++;
	}
	ASSERT(count == message->oneof_count);
	return bits;
}

/* Values by number: `keys` are sorted, without the later names of a number. */
static void index_values(
	struct compiler *c, struct pool_enum *to, const uint64_t *keys, uint32_t count)
{
	uint64_t range = (keys[count - 1] >> 16) - (keys[0] >> 16) + 1;

	ASSERT(count > 0);
	to->dense_first = (int32_t)((uint32_t)(keys[0] >> 16) ^ 0x80000000u);
	to->dense = to->sorted = COUNT(&c->indexes, uint16_t);
	if (range <= DENSE_BASE + (uint64_t)DENSE_FACTOR * count) {
		uint16_t *dense = grow(&c->indexes, range * sizeof(*dense));

		to->dense_count = (uint32_t)range;
		for (uint32_t i = 0; i < count; i++) {
			dense[(keys[i] >> 16) - (keys[0] >> 16)] =
				(uint16_t)((keys[i] & 0xffff) + 1);
		}
		return;
	}
	to->sorted_count = count;
	for (uint32_t i = 0; i < count; i++) {
		uint16_t index = (uint16_t)keys[i];

		buf_append(&c->indexes, &index, sizeof(index));
	}
}

/* The first declared name of a number is the one that is printed. */
static void compile_enum(struct compiler *c, const struct ast_enum *from)
{
	struct pool_enum to = {.first_value = COUNT(&c->values, struct pool_value)};
	uint64_t *keys = mem_alloc(from->value_count * sizeof(*keys));
	uint32_t unique = 0;
	uint32_t count = 0;

	to.value_count = from->value_count;
	to.slots = add_slots(c, from->value_count, &to.slot_mask);
	for (const struct ast_value *value = from->values; value; value = value->next) {
		struct pool_value put = {.number = value->number};
		struct pool_slot slot = {
			pool_hash(value->name.data, value->name.size, POOL_FOLD), count + 1};

		put.text = add_text(c, SLICE("\""));
		add_text(c, value->name);
		add_text(c, SLICE("\""));
		put.text_size = (uint16_t)(value->name.size + 2);
		buf_append(&c->values, &put, sizeof(put));
		put_slot(c, to.slots, to.slot_mask, slot);
		/* The sign bit is turned so that unsigned order is numeric order. */
		keys[count] = (uint64_t)((uint32_t)value->number ^ 0x80000000u) << 16 | count;
		count++;
	}
	ASSERT(count == from->value_count);
	sort_keys(keys, count);
	for (uint32_t i = 0; i < count; i++) {
		if (i == 0 || keys[i] >> 16 != keys[i - 1] >> 16) {
			keys[unique++] = keys[i];
		}
	}
	index_values(c, &to, keys, unique);
	buf_append(&c->enums, &to, sizeof(to));
	mem_free(keys);
}

/* Indexes are given in the order in which compile_scope walks. */
static void number_scope(struct compiler *c, struct ast_message *message, struct ast_enum *e)
{
	for (; e; e = e->next) {
		e->index = c->enum_count++;
	}
	for (; message; message = message->next) {
		message->index = c->message_count++;
		number_scope(c, message->nested, message->enums);
	}
}

/* Extensions stand behind the declared fields. */
static void compile_message(struct compiler *c, const struct ast_message *from)
{
	struct pool_message to = {.first_field = COUNT(&c->fields, struct pool_field)};
	uint32_t total = from->field_count + from->extend_count;
	uint32_t *oneof_bits;
	uint32_t index = 0;

	ASSERT(total <= AST_FIELDS_MAX);
	to.field_count = total;
	to.seen_bits = total;
	oneof_bits = number_oneofs(from, &to.seen_bits);
	for (const struct ast_field *f = from->fields; f; f = f->next) {
		add_field(c, from, f, index++, oneof_bits);
		to.required_count = (uint16_t)(to.required_count + (f->label == AST_REQUIRED));
	}
	for (const struct ast_field *f = from->extended_by; f; f = f->next_extend) {
		add_field(c, from, f, index++, oneof_bits);
	}
	mem_free(oneof_bits);
	index_fields(c, &to);
	hash_fields(c, &to);
	to.name = add_text(c, from->full_name);
	to.name_size = (uint16_t)from->full_name.size;
	to.wkt = (uint8_t)descriptor_wkt_find(from->full_name);
	to.map_entry = from->map_entry;
	buf_append(&c->messages, &to, sizeof(to));
}

/* The same order as in number_scope. */
static void compile_scope(
	struct compiler *c, const struct ast_message *message, const struct ast_enum *e)
{
	for (; e; e = e->next) {
		compile_enum(c, e);
	}
	for (; message; message = message->next) {
		ASSERT(COUNT(&c->messages, struct pool_message) == message->index);
		compile_message(c, message);
		compile_scope(c, message->nested, message->enums);
	}
}

/* Until the block stands, `data` of a slice is an offset in the text. */
static struct slice text_offset(struct compiler *c, uint32_t start)
{
	return slice_make((const uint8_t *)(uintptr_t)start, c->text.size - start);
}

/* Methods of one service stand together. */
static void compile_services(struct compiler *c, const struct ast_service *from)
{
	for (; from; from = from->next) {
		struct codec_service service = {.method_count = from->method_count};

		service.first_method = COUNT(&c->methods, struct codec_method);
		service.name = text_offset(c, add_text(c, from->full_name));
		for (const struct ast_method *m = from->methods; m; m = m->next) {
			struct codec_method method = {
				.service = COUNT(&c->services, struct codec_service),
				.input = m->input->index,
				.output = m->output->index,
				.client_streaming = m->client_streaming,
				.server_streaming = m->server_streaming,
				.idempotency = m->idempotency,
			};
			uint32_t path = add_text(c, SLICE("/"));
			uint32_t name;

			add_text(c, from->full_name);
			add_text(c, SLICE("/"));
			name = add_text(c, m->name);
			method.path = text_offset(c, path);
			method.name = text_offset(c, name);
			buf_append(&c->methods, &method, sizeof(method));
		}
		buf_append(&c->services, &service, sizeof(service));
	}
}

/* By full name, and by the path of a request. */
static void hash_names(struct compiler *c, struct descriptor_pool *pool)
{
	const struct pool_message *messages = (const void *)c->messages.data;
	const struct codec_method *methods = (const void *)c->methods.data;

	pool->message_slots = add_slots(c, pool->message_count + 1, &pool->message_mask);
	for (uint32_t i = 0; i < pool->message_count; i++) {
		struct slice name = text_at(c, messages[i].name, messages[i].name_size);
		struct pool_slot slot = {pool_hash(name.data, name.size, 0), i + 1};

		put_slot(c, pool->message_slots, pool->message_mask, slot);
	}
	pool->method_slots = add_slots(c, pool->method_count + 1, &pool->method_mask);
	for (uint32_t i = 0; i < pool->method_count; i++) {
		uint32_t offset = (uint32_t)(uintptr_t)methods[i].path.data;
		struct slice path = text_at(c, offset, methods[i].path.size);
		struct pool_slot slot = {pool_hash(path.data, path.size, 0), i + 1};

		put_slot(c, pool->method_slots, pool->method_mask, slot);
	}
}

/* Names are unique, so the order is total. */
static int compare_files(const void *a, const void *b)
{
	const struct ast_file *left = *(struct ast_file *const *)a;
	const struct ast_file *right = *(struct ast_file *const *)b;

	return slice_compare(left->name, right->name);
}

/* DS-10: the files that somebody gave or imports, sorted, each behind its length. */
static uint64_t digest_files(const struct ast_file *files)
{
	static const uint8_t zero_key[16];
	const struct ast_file **sorted;
	struct siphash hash;
	size_t count = 0;

	for (const struct ast_file *f = files; f; f = f->next) {
		count += f->state == AST_LINKED && !f->implied;
	}
	sorted = mem_alloc((count + 1) * sizeof(*sorted));
	count = 0;
	for (const struct ast_file *f = files; f; f = f->next) {
		if (f->state == AST_LINKED && !f->implied) {
			sorted[count++] = f;
		}
	}
	qsort(sorted, count, sizeof(*sorted), compare_files);
	siphash_init(&hash, zero_key);
	for (size_t i = 0; i < count; i++) {
		size_t size = sorted[i]->bare.size;
		uint8_t length[4] = {(uint8_t)(size >> 24), (uint8_t)(size >> 16),
			(uint8_t)(size >> 8), (uint8_t)size};

		siphash_update(&hash, length, sizeof(length));
		siphash_update(&hash, sorted[i]->bare.data, size);
	}
	mem_free(sorted);
	return siphash_final(&hash);
}

static size_t aligned(size_t size)
{
	return (size + BLOCK_ALIGN - 1) / BLOCK_ALIGN * BLOCK_ALIGN;
}

/* One array into the block, aligned for the next. */
static const void *place(uint8_t *block, size_t *used, const struct buf *part)
{
	uint8_t *to = block + *used;

	if (part->size > 0) {
		memcpy(to, part->data, part->size);
	}
	*used += aligned(part->size);
	return to;
}

/* One block: the head, then the arrays. */
static struct descriptor_pool *assemble(struct compiler *c, const struct descriptor_pool *head)
{
	struct buf *parts[] = {&c->messages, &c->fields, &c->enums, &c->values, &c->slots,
		&c->indexes, &c->services, &c->methods, &c->text};
	size_t size = aligned(sizeof(*head));
	size_t used = size;
	struct descriptor_pool *pool;
	struct codec_service *services;
	struct codec_method *methods;
	uint8_t *block;

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		size += aligned(parts[i]->size);
	}
	/* Texts stand last: reading a block of bytes at the end of one must stay in the block. */
	block = mem_zalloc(size + TEXT_SLACK);
	pool = (struct descriptor_pool *)(void *)block;
	*pool = *head;
	pool->size = size + TEXT_SLACK;
	pool->messages = place(block, &used, &c->messages);
	pool->fields = place(block, &used, &c->fields);
	pool->enums = place(block, &used, &c->enums);
	pool->values = place(block, &used, &c->values);
	pool->slots = place(block, &used, &c->slots);
	pool->indexes = place(block, &used, &c->indexes);
	pool->services = services = (void *)(uintptr_t)place(block, &used, &c->services);
	pool->methods = methods = (void *)(uintptr_t)place(block, &used, &c->methods);
	pool->text = place(block, &used, &c->text);
	ASSERT(used == size);
	/* What was an offset until now becomes an address. */
	for (uint32_t i = 0; i < pool->service_count; i++) {
		services[i].name.data = pool->text + (uintptr_t)services[i].name.data;
	}
	for (uint32_t i = 0; i < pool->method_count; i++) {
		methods[i].path.data = pool->text + (uintptr_t)methods[i].path.data;
		methods[i].name.data = pool->text + (uintptr_t)methods[i].name.data;
	}
	return pool;
}

/* Never without memory: places in an empty array are reckoned, too. */
static void open_buf(struct buf *buf)
{
	buf_init(buf);
	buf_reserve(buf, BLOCK_ALIGN);
}

/* So that none is forgotten. */
static void for_each_buf(struct compiler *c, void (*apply)(struct buf *))
{
	struct buf *parts[] = {&c->messages, &c->fields, &c->enums, &c->values, &c->slots,
		&c->indexes, &c->services, &c->methods, &c->text};

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		apply(parts[i]);
	}
}

/* Nothing here can fail: what could was refused by the linker. */
struct descriptor_pool *descriptor_compile_pool(struct ast_file *files)
{
	struct descriptor_pool head = {.size = 0};
	struct descriptor_pool *pool;
	struct compiler c = {.message_count = 0};

	for_each_buf(&c, open_buf);
	for (struct ast_file *f = files; f; f = f->next) {
		if (f->state == AST_LINKED) {
			number_scope(&c, f->messages, f->enums);
		}
	}
	for (struct ast_file *f = files; f; f = f->next) {
		if (f->state == AST_LINKED) {
			compile_scope(&c, f->messages, f->enums);
			compile_services(&c, f->services);
		}
	}
	head.message_count = c.message_count;
	head.service_count = COUNT(&c.services, struct codec_service);
	head.method_count = COUNT(&c.methods, struct codec_method);
	head.digest = digest_files(files);
	hash_names(&c, &head);
	pool = assemble(&c, &head);
	atomic_init(&pool->refs, 1);
	for_each_buf(&c, buf_fini);
	return pool;
}
