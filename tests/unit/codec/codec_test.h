/*
 * codec_test: what the codec's test programs share: the schema of schema/ as a pool, and
 * translations of exactly sized copies, so that the sanitizer sees every byte that is read too far.
 */
#ifndef PILLION_TESTS_CODEC_TEST_H
#define PILLION_TESTS_CODEC_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "codec/descriptor.h"
#include "codec/json_to_wire.h"
#include "codec/wire_to_json.h"

struct codec_test {
	struct codec_context *context;
	struct descriptor_pool *pool;
	struct codec_options options;
	struct codec_fault fault;
	struct buf out;
};

void codec_test_open(struct codec_test *test);
void codec_test_close(struct codec_test *test);

/* The result in test->out, or the fault in test->fault. message: full name. */
bool codec_test_to_wire(struct codec_test *test, const char *message, struct slice json);
bool codec_test_to_json(struct codec_test *test, const char *message, struct slice wire);

/*
 * json is translated to wire and back. `out` is what then stands there ("" means the same text), or
 * NULL, and `fault` names the fault. option: see codec_test_set_option.
 */
struct codec_test_row {
	const char *json;
	const char *out;
	const char *fault;
	const char *option;
};

/* With the default options and that of the row. */
void codec_test_check_row(
	struct codec_test *test, const char *message, const struct codec_test_row *row);
void codec_test_check_rows(const char *message, const struct codec_test_row *rows, size_t count);

/* Spaces are ignored. Owner: the caller, by buf_fini. */
struct buf codec_test_unhex(const char *hex);

/* Adds an option by name; NULL or "" adds nothing. */
void codec_test_set_option(struct codec_options *options, const char *name);

extern const uint8_t codec_test_schema[];
extern const size_t codec_test_schema_size;

#endif
