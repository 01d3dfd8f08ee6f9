/*
 * sim_disk: a disk in memory that forgets what was not synced. A crash loses or tears unsynced
 * sectors; names are durable only after fsync_dir. Operations may be made to fail from the n-th on.
 */
#ifndef PILLION_TESTS_RAFTREG_SIM_DISK_H
#define PILLION_TESTS_RAFTREG_SIM_DISK_H

#include "base/disk_ops.h"
#include "base/rng.h"

struct sim_disk;

struct sim_disk *sim_disk_create(uint64_t seed);
void sim_disk_destroy(struct sim_disk *disk);
struct disk *sim_disk_base(struct sim_disk *disk);
/* From the n-th operation on (0: never) everything fails with -EIO; counts from now. */
void sim_disk_fail_at(struct sim_disk *disk, uint64_t operation);
uint64_t sim_disk_operations(const struct sim_disk *disk); /* since fail_at */
/* Power cut: unsynced sectors are lost, or (tear) each one is drawn. Open files are closed. */
void sim_disk_crash(struct sim_disk *disk, bool tear);
/* The bytes of a file for damage; NULL when there is none. */
uint8_t *sim_disk_bytes(struct sim_disk *disk, const char *name, size_t *ret_size);
/* The i-th name, NULL past the end. */
const char *sim_disk_name(const struct sim_disk *disk, size_t i);

#endif
