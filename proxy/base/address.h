/*
 * address: a socket address as a value: IPv4, IPv6 or the path of a Unix socket. Parsing takes IP
 * literals only; names are the resolver's business. Pure.
 */
#ifndef PILLION_BASE_ADDRESS_H
#define PILLION_BASE_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/slice.h"

struct address {
	socklen_t size; /* 0: none */
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
		struct sockaddr_un local;
	} u;
};

#define ADDRESS_TEXT_MAX 128

/* "10.0.0.5:7440", "[::1]:7440", "unix:/run/app.sock"; port 1..65535 (0 when allow_port_zero). */
bool address_parse(struct slice text, bool allow_port_zero, struct address *ret_address);
/* The reverse; always terminated. Returns ret_text. */
const char *address_format(const struct address *address, char ret_text[ADDRESS_TEXT_MAX]);
bool address_equal(const struct address *a, const struct address *b);
bool address_is_loopback(const struct address *address); /* Unix sockets count as loopback */
bool address_is_any(const struct address *address);	 /* 0.0.0.0, :: */
uint16_t address_port(const struct address *address);
void address_set_port(struct address *address, uint16_t port);
/* Host part as text without brackets. */
const char *address_host(const struct address *address, char ret_text[ADDRESS_TEXT_MAX]);
/* Splits "host:port" / "[v6]:port"; the host may be a name. */
bool address_split(struct slice text, struct slice *ret_host, uint16_t *ret_port);
/* "10.0.0.0/8", "::1", "10.1.2.3": prefix match for trusted_peers and egress lists. */
struct address_prefix {
	struct address base;
	unsigned bits;
};
bool address_prefix_parse(struct slice text, struct address_prefix *ret_prefix);
bool address_prefix_match(const struct address_prefix *prefix, const struct address *address);

#endif
