/*
 * descriptor_wkt: the messages that have a JSON form of their own, by full name (codec.md 5,
 * DS-02). Internal.
 */
#ifndef PILLION_CODEC_DESCRIPTOR_WKT_H
#define PILLION_CODEC_DESCRIPTOR_WKT_H

#include "codec/descriptor_file.h"
#include "codec/pool_find.h"

enum pool_wkt descriptor_wkt_find(struct slice full_name);
/* The engine reads these types by fixed numbers: false when a schema says otherwise. */
bool descriptor_wkt_sound(const struct ast_message *message);

#endif
