#include "upstream/registry.h"

#include <stdio.h>

#include "base/assert.h"

const char *registry_mode_word(enum registry_mode mode)
{
	switch (mode) {
	case REGISTRY_LIVE:
		return "live";
	case REGISTRY_STALE:
		return "stale";
	case REGISTRY_DOWN:
		return "down";
	case REGISTRY_CONNECTING:
		return "connecting";
	}
	ASSERT(false);
	return "";
}

const char *registry_text(
	enum registry_mode mode, uint64_t index, uint64_t age_ms, char ret_text[REGISTRY_TEXT_MAX])
{
	(void)snprintf(ret_text, REGISTRY_TEXT_MAX, "idx=%llu;age=%llu.%us;mode=%s",
		(unsigned long long)index, (unsigned long long)age_ms / 1000,
		(unsigned)(age_ms / 100 % 10), registry_mode_word(mode));
	return ret_text;
}

const char *registry_code_word(enum registry_code code)
{
	switch (code) { /* reasons.md 3: the words of the admin API are these, in lower case */
	case REGISTRY_OK:
		return "ok";
	case REGISTRY_INVALID:
		return "invalid";
	case REGISTRY_DENIED:
		return "denied";
	case REGISTRY_NOT_FOUND:
		return "not_found";
	case REGISTRY_TAKEN:
		return "taken";
	case REGISTRY_CONFLICT:
		return "conflict";
	case REGISTRY_NOT_CAUGHT_UP:
		return "not_caught_up";
	case REGISTRY_QUOTA:
		return "quota";
	case REGISTRY_RETRY_LATER:
		return "retry_later";
	case REGISTRY_NO_QUORUM:
		return "no_quorum";
	case REGISTRY_DISK_FULL:
		return "disk_full";
	case REGISTRY_MAYBE:
		return "maybe";
	case REGISTRY_UNAVAILABLE:
		return "unavailable";
	}
	ASSERT(false);
	return "";
}
