/*
 * sniff: which protocol a cleartext connection speaks, from its first bytes (SN-01..SN-03). Pure:
 * nothing is decided while the bytes are a proper prefix of the HTTP/2 preface.
 */
#ifndef PILLION_HTTP_SNIFF_H
#define PILLION_HTTP_SNIFF_H

#include "base/slice.h"

enum sniffed { SNIFFED_MORE, SNIFFED_H1, SNIFFED_H2, SNIFFED_TLS };

enum sniffed sniff_protocol(struct slice first_bytes);

#endif
