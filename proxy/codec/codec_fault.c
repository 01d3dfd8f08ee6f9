/*
 * The names are part of the interface: they label metrics and stand in logs, so they are never
 * changed or used for something else (ER-07).
 */
#include "codec/codec_fault.h"

#include <stdio.h>

#include "base/assert.h"

void codec_fault_clear(struct codec_fault *fault)
{
	fault->kind = CODEC_FAULT_NONE;
	fault->offset = 0;
	fault->text[0] = 0;
}

/* The order of the table is that of the enum: both come from one list. */
const char *codec_fault_name(enum codec_fault_kind kind)
{
#define FAULT_NAME(name, text) text,
	static const char *const names[] = {"none", CODEC_FAULTS(FAULT_NAME)};
#undef FAULT_NAME

	ASSERT(kind < CODEC_FAULT_COUNT);
	return names[kind];
}

void codec_fault_set(struct codec_fault *fault, enum codec_fault_kind kind, const char *text)
{
	ASSERT(kind != CODEC_FAULT_NONE);
	fault->kind = kind;
	fault->offset = 0;
	snprintf(fault->text, sizeof(fault->text), "%s", text);
}
