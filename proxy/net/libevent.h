/*
 * libevent: the parts of the library that this room uses. struct event is embedded, so that a
 * connection needs no allocation for it; the library's header brings its own LIST_ENTRY, which
 * would clash with that of base/list.h.
 */
#ifndef PILLION_NET_LIBEVENT_H
#define PILLION_NET_LIBEVENT_H

#include <event2/event.h>

#pragma push_macro("LIST_ENTRY")
#undef LIST_ENTRY
#include <event2/event_struct.h>
#pragma pop_macro("LIST_ENTRY")

#endif
