#include "codec/descriptor_builtin.h"

static const uint8_t builtin_set[] = {
#include "descriptor_builtin.inc"
};

struct slice descriptor_builtin_set(void)
{
	return slice_make(builtin_set, sizeof(builtin_set));
}
