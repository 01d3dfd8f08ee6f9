/*
 * A snapshot as bytes. The keyed hash at the end covers everything before it, so a file is
 * either whole or of no use; the chunks' own CRCs only say where the damage is. The same bytes
 * travel to other replicas, and are checked again before they are written there (RM-19).
 */
#include "raftreg/snapfile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/siphash.h"
#include "raftreg/bytes.h"

#define MAGIC	    "PLNSNAP\n"
#define FIXED_SIZE  SNAPFILE_HEADER
#define TRAILER	    8u
#define CONF_MAX    2048u
#define WRITE_PIECE (1024u * 1024) /* so that a slow disk is not asked for everything at once */

/* Twenty digits, so that names sort like indexes. */
void snapfile_name(uint64_t index, uint64_t term, char ret_name[SNAPFILE_NAME_SIZE])
{
	(void)snprintf(ret_name, SNAPFILE_NAME_SIZE, "%020llu-%llu.snap", (unsigned long long)index,
		(unsigned long long)term);
}

/* Strict: a file with nearly such a name is somebody else's, and is neither read nor
 * deleted. */
bool snapfile_parse_name(const char *name, uint64_t *ret_index, uint64_t *ret_term)
{
	size_t length = strlen(name);
	char *end;

	if (length < 27 || length >= SNAPFILE_NAME_SIZE || name[20] != '-' ||
		strcmp(name + length - 5, ".snap") != 0 || strspn(name, "0123456789") != 20) {
		return false;
	}
	*ret_index = strtoull(name, NULL, 10);
	*ret_term = strtoull(name + 21, &end, 10);
	return end == name + length - 5;
}

static void put32(struct buf *buf, uint32_t value)
{
	bytes_put32(buf_reserve(buf, 4), value);
	buf->size += 4;
}

static void put64(struct buf *buf, uint64_t value)
{
	bytes_put64(buf_reserve(buf, 8), value);
	buf->size += 8;
}

static void put_ids(struct buf *buf, const struct raft_ids *ids)
{
	put32(buf, ids->count);
	for (uint32_t i = 0; i < ids->count; i++) {
		put64(buf, ids->ids[i]);
	}
}

/* All four sets, since a snapshot may lie in the middle of a joint change (RM-20). */
static void put_conf(struct buf *buf, const struct raft_conf *conf)
{
	put_ids(buf, &conf->voters);
	put_ids(buf, &conf->outgoing);
	put_ids(buf, &conf->learners);
	put_ids(buf, &conf->staged);
	put32(buf, conf->auto_leave ? 1 : 0);
}

/* Counts are checked before they are believed. */
static bool take_ids(struct slice *rest, struct raft_ids *ret_ids)
{
	uint32_t count;

	if (rest->size < 4) {
		return false;
	}
	count = bytes_get32(rest->data);
	*rest = slice_from(*rest, 4);
	if (count > RAFT_IDS_MAX || rest->size < (size_t)count * 8) {
		return false;
	}
	ret_ids->count = count;
	for (uint32_t i = 0; i < count; i++) {
		ret_ids->ids[i] = bytes_get64(rest->data + (size_t)i * 8);
	}
	*rest = slice_from(*rest, (size_t)count * 8);
	return true;
}

/* The core asserts what a configuration must be; here it is only looked at. */
static bool take_conf(struct slice bytes, struct raft_conf *ret_conf)
{
	*ret_conf = (struct raft_conf){0};
	if (!take_ids(&bytes, &ret_conf->voters) || !take_ids(&bytes, &ret_conf->outgoing) ||
		!take_ids(&bytes, &ret_conf->learners) || !take_ids(&bytes, &ret_conf->staged) ||
		bytes.size != 4) {
		return false;
	}
	ret_conf->auto_leave = bytes_get32(bytes.data) != 0;
	return member_conf_is_valid(ret_conf);
}

/* Fixed part: magic 8, format 4, conf size 4, uuid 16, epoch 8, index 8, term 8, state hash 8,
 * chunk count 8, total 8, zero 12, crc of the 92 bytes before it 4. Then the configuration. */
static void put_head(const struct snapfile_meta *meta, struct slice state, struct buf *buf)
{
	struct buf conf;
	uint8_t *fixed;

	ASSERT(meta->snapshot.index > 0 && meta->snapshot.term > 0);
	buf_init(&conf);
	put_conf(&conf, &meta->snapshot.conf);
	ASSERT(conf.size <= CONF_MAX);
	fixed = buf_reserve(buf, FIXED_SIZE);
	memset(fixed, 0, FIXED_SIZE);
	memcpy(fixed, MAGIC, 8);
	bytes_put32(fixed + 8, SNAPFILE_FORMAT);
	bytes_put32(fixed + 12, (uint32_t)conf.size);
	memcpy(fixed + 16, meta->uuid, 16);
	bytes_put64(fixed + 32, meta->epoch);
	bytes_put64(fixed + 40, meta->snapshot.index);
	bytes_put64(fixed + 48, meta->snapshot.term);
	bytes_put64(fixed + 56, siphash24(meta->uuid, state.data, state.size));
	bytes_put64(fixed + 64, (state.size + SNAPFILE_CHUNK - 1) / SNAPFILE_CHUNK);
	bytes_put64(fixed + 72, state.size);
	bytes_put32(fixed + 92, crc32c(0, fixed, 92));
	buf->size += FIXED_SIZE;
	buf_append_slice(buf, buf_slice(&conf));
	buf_fini(&conf);
}

/* Takes the next chunk off the state. */
static void put_chunk(struct slice *state, struct buf *buf)
{
	size_t size = state->size < SNAPFILE_CHUNK ? state->size : SNAPFILE_CHUNK;

	put32(buf, (uint32_t)size);
	put32(buf, crc32c(0, state->data, size));
	buf_append(buf, state->data, size);
	*state = slice_from(*state, size);
}

void snapfile_build(const struct snapfile_meta *meta, struct slice state, struct buf *ret_file)
{
	size_t start = ret_file->size;

	put_head(meta, state, ret_file);
	while (state.size > 0) {
		put_chunk(&state, ret_file);
	}
	put64(ret_file, siphash24(meta->uuid, ret_file->data + start, ret_file->size - start));
}

int snapfile_header_format(const uint8_t *header)
{
	uint32_t format = bytes_get32(header + 8);

	if (memcmp(header, MAGIC, 8) != 0 || format > INT32_MAX ||
		bytes_get32(header + 92) != crc32c(0, header, 92)) {
		return -EBADMSG;
	}
	return (int)format;
}

/* RS-11: the format is looked at before anything else is believed. */
static int parse_fixed(struct slice file, struct snapfile_meta *meta, uint32_t *ret_conf_size)
{
	int format =
		file.size < FIXED_SIZE + TRAILER ? -EBADMSG : snapfile_header_format(file.data);

	if (format != SNAPFILE_FORMAT) {
		return format == -EBADMSG ? -EBADMSG : -ENOTSUP;
	}
	*ret_conf_size = bytes_get32(file.data + 12);
	memcpy(meta->uuid, file.data + 16, 16);
	meta->epoch = bytes_get64(file.data + 32);
	meta->snapshot = (struct raft_snapshot){
		.index = bytes_get64(file.data + 40), .term = bytes_get64(file.data + 48)};
	meta->state_hash = bytes_get64(file.data + 56);
	if (meta->snapshot.index == 0 || meta->snapshot.term == 0 || *ret_conf_size > CONF_MAX ||
		file.size < FIXED_SIZE + TRAILER + *ret_conf_size) {
		return -EBADMSG;
	}
	if (bytes_get64(file.data + file.size - TRAILER) !=
		siphash24(meta->uuid, file.data, file.size - TRAILER)) {
		return -EBADMSG;
	}
	return 0;
}

/* All of them, of the sizes they say, and nothing behind. */
static bool take_chunks(struct slice rest, struct slice fixed, struct buf *ret_state)
{
	uint64_t chunks = bytes_get64(fixed.data + 64);
	uint64_t total = bytes_get64(fixed.data + 72);
	size_t before = ret_state->size;

	for (uint64_t i = 0; i < chunks; i++) {
		uint32_t size;

		if (rest.size < 8) {
			return false;
		}
		size = bytes_get32(rest.data);
		if (size > SNAPFILE_CHUNK || size > rest.size - 8 ||
			bytes_get32(rest.data + 4) != crc32c(0, rest.data + 8, size)) {
			return false;
		}
		buf_append(ret_state, rest.data + 8, size);
		rest = slice_from(rest, 8 + (size_t)size);
	}
	return rest.size == 0 && ret_state->size - before == total;
}

/* Hash first, structure afterwards: what is parsed is what somebody wrote. */
int snapfile_parse(struct slice file, struct snapfile_meta *ret_meta, struct buf *ret_state)
{
	struct snapfile_meta meta = {0};
	uint32_t conf_size = 0;
	size_t before = ret_state->size;
	int result = parse_fixed(file, &meta, &conf_size);
	struct slice chunks;

	if (result < 0) {
		return result;
	}
	chunks = slice_make(
		file.data + FIXED_SIZE + conf_size, file.size - FIXED_SIZE - conf_size - TRAILER);
	if (!take_conf(slice_make(file.data + FIXED_SIZE, conf_size), &meta.snapshot.conf) ||
		!take_chunks(chunks, file, ret_state)) {
		ret_state->size = before;
		return -EBADMSG;
	}
	*ret_meta = meta;
	return 0;
}

/* What a failed attempt left would only take the place that is missing. */
static int end_file(struct disk *disk, const char *name, int handle, int result)
{
	result = result ? result : disk->ops->fdatasync(disk, handle);
	(void)disk->ops->close(disk, handle);
	if (result < 0) {
		(void)disk->ops->unlink(disk, name);
	}
	return result;
}

static int begin_file(struct disk *disk, const char *name)
{
	(void)disk->ops->unlink(disk, name);
	return disk->ops->open(disk, name, DISK_WRITE | DISK_CREATE);
}

/* In pieces, so that a slow disk is not handed everything in one call. */
int snapfile_write(struct disk *disk, const char *name, struct slice file)
{
	int handle = begin_file(disk, name);
	uint64_t offset = 0;
	int result = 0;

	ASSERT(file.size > 0);
	while (handle >= 0 && result == 0 && offset < file.size) {
		size_t left = file.size - (size_t)offset;
		size_t piece = left < WRITE_PIECE ? left : WRITE_PIECE;

		result = disk_write_all(disk, handle, file.data + offset, piece, offset);
		offset += piece;
	}
	return handle < 0 ? handle : end_file(disk, name, handle, result);
}

/* Head, chunks and trailer one after the other through one buffer: the state is large. */
int snapfile_save(struct disk *disk, const char *name, const struct snapfile_meta *meta,
	struct slice state, uint64_t *ret_size)
{
	int handle = begin_file(disk, name);
	struct siphash hash;
	uint64_t offset = 0;
	struct buf piece;
	int result = 0;

	if (handle < 0) {
		return handle;
	}
	buf_init(&piece);
	siphash_init(&hash, meta->uuid);
	put_head(meta, state, &piece);
	while (result == 0 && piece.size > 0) {
		siphash_update(&hash, piece.data, piece.size);
		result = disk_write_all(disk, handle, piece.data, piece.size, offset);
		offset += piece.size;
		buf_clear(&piece);
		if (state.size > 0) {
			put_chunk(&state, &piece);
		}
	}
	put64(&piece, siphash_final(&hash));
	result = result ? result : disk_write_all(disk, handle, piece.data, TRAILER, offset);
	*ret_size = offset + TRAILER;
	buf_fini(&piece);
	return end_file(disk, name, handle, result);
}
