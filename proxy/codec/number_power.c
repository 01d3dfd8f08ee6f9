/*
 * One table serves reading and printing, so both agree about every power of ten.
 */
#include "codec/number_power.h"

/* What stands here is looked at in number_parse.c and number_print.c. */
const struct number_power number_powers[NUMBER_POWER_LAST - NUMBER_POWER_FIRST + 1] = {
#include "number_powers.inc"
};
