/*
 * secret: reading files that hold secrets (operations.md CF-09): tokens, keys, `${file:...}`.
 * Blocking; control thread or start-up.
 */
#ifndef PILLION_CONFIG_SECRET_H
#define PILLION_CONFIG_SECRET_H

#include "base/buf.h"
#include "base/err.h"

#define CONFIG_SECRET_MAX (64 * 1024)

/*
 * Appends the whole file, one trailing LF dropped. Refused with PIL1410: not a regular file, world-
 * readable or world-writable (but below /run/secrets and /var/run/secrets world-readable passes),
 * over 64 KiB; PIL1005: read error. The caller cleanses and frees.
 */
bool config_secret_read(const char *path, struct buf *ret_bytes, struct err *err) MUST_CHECK;
/* Overwrites the bytes and frees the buffer. */
void config_secret_wipe(struct buf *bytes);

#endif
