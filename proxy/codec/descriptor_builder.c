/*
 * Files are kept as they come and linked only when the pool is built, so their order is free
 * (DS-02). Linking walks the imports with an explicit stack: how deep they go is up to whoever
 * wrote them.
 */
#include "codec/descriptor_builder.h"

#include <errno.h>
#include <stdio.h>

#include "base/map.h"
#include "base/mem.h"
#include "codec/descriptor_builtin.h"
#include "codec/descriptor_compile.h"
#include "codec/descriptor_link.h"
#include "codec/descriptor_parse.h"

struct descriptor_builder {
	enum descriptor_mode mode;
	struct arena arena;
	struct map files;	/* name -> ast_file, the built-in ones too */
	struct ast_file *first; /* all of them, in the order of coming */
	struct ast_file **end;
	size_t file_count;    /* added, not built in */
	size_t byte_count;    /* of single files; each set has its own limit */
	struct err *rejected; /* of DESCRIPTOR_SOUND */
	size_t rejected_count;
	bool built;
};

/* In the order of coming: it decides which of two clashing files is refused. */
static void append_file(struct descriptor_builder *builder, struct ast_file *file)
{
	*builder->end = file;
	builder->end = &file->next;
	map_set(&builder->files, file->name, file);
}

/* DS-04: one warn line for each, so each is kept with its reason. */
static void reject(struct descriptor_builder *builder, const struct err *why)
{
	size_t size = (builder->rejected_count + 1) * sizeof(*builder->rejected);

	ASSERT(builder->rejected_count <= DESCRIPTOR_FILES_MAX);
	builder->rejected = mem_realloc(builder->rejected, size);
	builder->rejected[builder->rejected_count++] = *why;
}

struct descriptor_builder *descriptor_builder_create(enum descriptor_mode mode)
{
	struct descriptor_builder *builder = mem_zalloc(sizeof(*builder));

	builder->mode = mode;
	arena_init(&builder->arena);
	map_init(&builder->files);
	builder->end = &builder->first;
	return builder;
}

void descriptor_builder_destroy(struct descriptor_builder *builder)
{
	if (!builder) {
		return;
	}
	map_fini(&builder->files);
	arena_fini(&builder->arena);
	mem_free(builder->rejected);
	mem_free(builder);
}

/* Always -EBADMSG, so that callers can return it. */
static int refuse(struct err *err, const char *source, struct slice name, const char *what)
{
	struct descriptor_label label = descriptor_parse_label(name);

	ASSERT(source);
	err_set(err, DESCRIPTOR_ERR_SCHEMA, "%s%s%s", label.text, name.size ? ": " : "", what);
	if (err) {
		snprintf(err->file, sizeof(err->file), "%s", source);
	}
	return -EBADMSG;
}

/* DS-02: one file name twice is one file when the bytes are equal. */
static int add_parsed(struct descriptor_builder *builder, struct ast_file *file, struct err *err)
{
	struct ast_file *other = map_get(&builder->files, file->name);
	char what[160];

	if (other && slice_equal(other->bare, file->bare)) {
		return 0;
	}
	if (other) {
		snprintf(what, sizeof(what), "differs from the file of that name in %.64s",
			other->source);
		return refuse(err, file->source, file->name, what);
	}
	if (builder->file_count == DESCRIPTOR_FILES_MAX) {
		return refuse(err, file->source, file->name, "more than 4096 files");
	}
	builder->file_count++;
	append_file(builder, file);
	return 0;
}

static int add_bytes(
	struct descriptor_builder *builder, struct slice bytes, const char *source, struct err *err)
{
	struct slice copy = arena_copy(&builder->arena, bytes);
	struct ast_file *file;

	ASSERT(!builder->built);
	source = arena_string(&builder->arena, slice_from_string(source));
	file = descriptor_parse_file(&builder->arena, copy, source, err);
	return file ? add_parsed(builder, file, err) : -EBADMSG;
}

static int refuse_size(struct err *err, const char *source)
{
	return refuse(err, source, slice_make(NULL, 0), "more than 16 MiB of descriptors");
}

/* The size counts even when the file is refused: nobody may try for ever. */
int descriptor_builder_add_file(
	struct descriptor_builder *builder, struct slice bytes, const char *source, struct err *err)
{
	if (bytes.size > DESCRIPTOR_SET_MAX - builder->byte_count) {
		return refuse_size(err, source);
	}
	builder->byte_count += bytes.size;
	return add_bytes(builder, bytes, source, err);
}

int descriptor_builder_add_set(
	struct descriptor_builder *builder, struct slice bytes, const char *source, struct err *err)
{
	struct ast_file **end = builder->end;
	size_t file_count = builder->file_count;
	struct slice file;
	int more;

	if (bytes.size > DESCRIPTOR_SET_MAX) {
		return refuse_size(err, source);
	}
	while ((more = descriptor_parse_next_file(&bytes, source, &file, err)) > 0) {
		more = add_bytes(builder, file, source, err);
		if (more) {
			break;
		}
	}
	if (more < 0) {
		/* All or nothing: the files of this set are forgotten. */
		for (struct ast_file *f = *end; f; f = f->next) {
			map_remove(&builder->files, f->name);
		}
		*end = NULL;
		builder->end = end;
		builder->file_count = file_count;
	}
	return more;
}

bool descriptor_builder_has_file(const struct descriptor_builder *builder, struct slice name)
{
	return map_get(&builder->files, name) != NULL;
}

/* The built-in file of a name, as bytes. */
static bool find_builtin(struct slice name, struct slice *ret_file)
{
	struct slice set = descriptor_builtin_set();
	struct slice file;

	while (descriptor_parse_next_file(&set, "built in", &file, NULL) > 0) {
		/* Field 1, the name, comes first: one byte of tag, one of length. */
		ASSERT(file.size > 2 && file.data[0] == 0x0a && file.data[1] < 0x80);
		if (slice_equal(slice_make(file.data + 2, file.data[1]), name)) {
			*ret_file = file;
			return true;
		}
	}
	return false;
}

/* Reflection asks for the file by this name next (RF-02). */
bool descriptor_builder_missing_import(struct descriptor_builder *builder, struct slice *ret_name)
{
	struct slice builtin;

	ASSERT(!builder->built);
	for (struct ast_file *f = builder->first; f; f = f->next) {
		for (struct ast_import *i = f->imports; i; i = i->next) {
			if (!map_get(&builder->files, i->name) &&
				!find_builtin(i->name, &builtin)) {
				*ret_name = i->name;
				return true;
			}
		}
	}
	return false;
}

/* The built-in files are sound; a test loads them all. */
static struct ast_file *add_builtin(
	struct descriptor_builder *builder, struct slice bytes, bool implied)
{
	struct ast_file *file =
		descriptor_parse_file(&builder->arena, bytes, "the built-in set", NULL);

	ASSERT(file);
	file->builtin = true;
	file->implied = implied;
	append_file(builder, file);
	return file;
}

/* The imported file, if need be from the built-in set. */
static struct ast_file *find_import(
	struct descriptor_builder *builder, struct slice name, bool implied)
{
	struct ast_file *file = map_get(&builder->files, name);
	struct slice bytes;

	if (file || !find_builtin(name, &bytes)) {
		return file;
	}
	return add_builtin(builder, bytes, implied);
}

/* The file falls because of another one; the text names both. */
static bool refuse_import(
	struct ast_file *file, struct slice import, const char *what, struct err *err)
{
	struct descriptor_label label = descriptor_parse_label(import);
	char text[128];

	snprintf(text, sizeof(text), "%s %s", what, label.text);
	refuse(err, file->source, file->name, text);
	file->state = AST_REJECTED;
	return false;
}

/*
 * Links a file behind its imports, without recursion: `stack` holds the files being linked, each
 * with the import it waits for.
 */
struct waiting {
	struct ast_file *file;
	struct ast_import *import;
};

/* False when the stack is full, which the number of files rules out. */
static bool push(struct waiting *stack, size_t *depth, size_t room, struct ast_file *file)
{
	if (*depth == room) {
		return false;
	}
	file->state = AST_LINKING;
	stack[(*depth)++] = (struct waiting){file, file->imports};
	return true;
}

/* Its imports are linked, or it would not be its turn. */
static void link_one(struct descriptor_linker *linker, struct ast_file *file, struct err *err)
{
	ASSERT(file->state == AST_LINKING);
	file->state = descriptor_link_file(linker, file, err) ? AST_LINKED : AST_REJECTED;
}

/* One step of the file on top of the stack. Returns the file to link before it, or NULL. */
static struct ast_file *next_import(
	struct descriptor_builder *builder, struct waiting *top, struct err *err)
{
	while (top->import) {
		struct slice name = top->import->name;
		struct ast_file *import = find_import(builder, name, top->file->implied);

		if (!import) {
			refuse_import(top->file, name, "imports a missing file", err);
			return NULL;
		}
		switch (import->state) {
		case AST_READ:
			return import;
		case AST_LINKING:
			refuse_import(top->file, name, "is in an import cycle with", err);
			return NULL;
		case AST_REJECTED:
			refuse_import(top->file, name, "imports a refused file", err);
			return NULL;
		case AST_LINKED:
			/* Asked for now, so it counts for the digest. */
			import->implied = import->implied && top->file->implied;
			top->import = top->import->next;
			break;
		}
	}
	return NULL;
}

/* Each file is linked once, whoever asks first. */
static void link_with_imports(struct descriptor_builder *builder, struct descriptor_linker *linker,
	struct waiting *stack, size_t room, struct ast_file *file)
{
	size_t depth = 0;

	if (file->state != AST_READ) {
		return;
	}
	(void)push(stack, &depth, room, file);
	while (depth > 0) {
		struct waiting *top = &stack[depth - 1];
		struct err err;
		struct ast_file *import;

		err_clear(&err);
		import = next_import(builder, top, &err);
		if (import && push(stack, &depth, room, import)) {
			continue;
		}
		ASSERT(!import);
		if (top->file->state == AST_LINKING) {
			link_one(linker, top->file, &err);
		}
		if (top->file->state == AST_REJECTED && !top->file->builtin) {
			reject(builder, &err);
		}
		depth--;
	}
}

struct descriptor_pool *descriptor_builder_build(
	struct descriptor_builder *builder, struct err *err)
{
	/* Every file stands on the stack at most once; the built-in ones are few. */
	size_t room = builder->file_count + 64;
	struct waiting *stack = mem_alloc(room * sizeof(*stack));
	struct slice set = descriptor_builtin_set();
	struct descriptor_pool *pool = NULL;
	struct descriptor_linker linker;
	struct slice file;

	ASSERT(!builder->built);
	builder->built = true;
	descriptor_link_init(&linker, &builder->arena);
	/* Built-in files that are imported are appended meanwhile, and met by the same loop. */
	for (struct ast_file *f = builder->first; f; f = f->next) {
		link_with_imports(builder, &linker, stack, room, f);
	}
	/* What is built in and not yet there comes last, and gives way to equal names (DS-01). */
	while (descriptor_parse_next_file(&set, "built in", &file, NULL) > 0) {
		struct slice name = slice_make(file.data + 2, file.data[1]);
		struct ast_file *builtin = find_import(builder, name, true);

		link_with_imports(builder, &linker, stack, room, builtin);
	}
	if (builder->mode == DESCRIPTOR_ALL && builder->rejected_count > 0) {
		if (err) {
			*err = builder->rejected[0];
		}
	} else {
		pool = descriptor_compile_pool(builder->first);
	}
	descriptor_link_fini(&linker);
	mem_free(stack);
	return pool;
}

size_t descriptor_builder_rejected_count(const struct descriptor_builder *builder)
{
	return builder->rejected_count;
}

const struct err *descriptor_builder_rejected(
	const struct descriptor_builder *builder, size_t index)
{
	ASSERT(index < builder->rejected_count);
	return &builder->rejected[index];
}
