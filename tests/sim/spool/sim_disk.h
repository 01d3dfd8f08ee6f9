/*
 * sim_disk: a directory in memory behind disk_ops, with a page cache: what was written survives a
 * kill, what was synced survives a power cut, and of the rest a power cut leaves any subset, also
 * torn. The n-th operation that changes something can be the last one. Owner: the test. One thread.
 */
#ifndef PILLION_TESTS_SIM_DISK_H
#define PILLION_TESTS_SIM_DISK_H

#include "base/disk_ops.h"
#include "base/rng.h"

struct sim_disk;

struct sim_disk *sim_disk_create(uint64_t seed);
void sim_disk_destroy(struct sim_disk *disk);
struct disk *sim_disk_handle(struct sim_disk *disk);
/* After so many more changing operations everything fails, the last one half done; 0: never. */
void sim_disk_kill_after(struct sim_disk *disk, uint64_t operations);
bool sim_disk_dead(const struct sim_disk *disk);
uint64_t sim_disk_operations(const struct sim_disk *disk);
/* The machine or the process is back: handles are gone. power: unsynced work is partly lost. */
void sim_disk_restart(struct sim_disk *disk, bool power);
/* The next sync or write fails with this errno, once. */
void sim_disk_fail_sync(struct sim_disk *disk, int error);
void sim_disk_fail_write(struct sim_disk *disk, int error);
/* The present bytes of a file, for tests that damage them; NULL: no such file. */
uint8_t *sim_disk_bytes(struct sim_disk *disk, const char *name, size_t *ret_size);
/* Calls for every file name. */
unsigned sim_disk_files(const struct sim_disk *disk);

#endif
