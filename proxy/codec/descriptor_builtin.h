/*
 * descriptor_builtin: the files that every pool has (codec.md DS-01), as one serialized
 * FileDescriptorSet. Made by builtin/make_builtin.py. Internal.
 */
#ifndef PILLION_CODEC_DESCRIPTOR_BUILTIN_H
#define PILLION_CODEC_DESCRIPTOR_BUILTIN_H

#include "base/slice.h"

struct slice descriptor_builtin_set(void);

#endif
