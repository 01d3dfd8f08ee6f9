#!/usr/bin/python3
"""Writes number_powers.inc: the 128 highest bits of 10^q, rounded down, for q in -342..326.

    /usr/bin/python3 proxy/codec/builtin/make_powers.py
"""
import fractions
import pathlib

FIRST, LAST = -342, 326


def power(q):
    value = fractions.Fraction(10) ** q
    shift = 128 - value.numerator.bit_length() + value.denominator.bit_length()
    for s in (shift - 1, shift, shift + 1):
        scaled = value * fractions.Fraction(2) ** s
        whole = scaled.numerator // scaled.denominator
        if whole.bit_length() == 128:
            return whole
    raise AssertionError(q)


lines = [f"/* Made by builtin/make_powers.py: 10^q for q in {FIRST}..{LAST}, high and low word. */"]
for q in range(FIRST, LAST + 1):
    whole = power(q)
    lines.append(f"\t{{0x{whole >> 64:016x}, 0x{whole & (2**64 - 1):016x}}},")
pathlib.Path(__file__).resolve().parent.parent.joinpath("number_powers.inc").write_text(
    "\n".join(lines) + "\n")
