/*
 * wkt_tags: the tags of the fields of google/protobuf's own types, by their published numbers.
 */
#ifndef PILLION_CODEC_WKT_TAGS_H
#define PILLION_CODEC_WKT_TAGS_H

enum wkt_tag {
	TAG_SECONDS = 0x08, /* 1, varint */
	TAG_NANOS = 0x10,   /* 2, varint */
	TAG_PATHS = 0x0a,   /* 1, length */
	TAG_STRUCT_FIELD = 0x0a,
	TAG_ENTRY_KEY = 0x0a,
	TAG_ENTRY_VALUE = 0x12,
	TAG_LIST_VALUE = 0x0a,
	TAG_VALUE_NULL = 0x08,
	TAG_VALUE_NUMBER = 0x11,
	TAG_VALUE_STRING = 0x1a,
	TAG_VALUE_BOOL = 0x20,
	TAG_VALUE_STRUCT = 0x2a,
	TAG_VALUE_LIST = 0x32,
};

#endif
