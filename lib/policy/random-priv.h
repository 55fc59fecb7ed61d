/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_RANDOM_PRIV_H
#define IMIG_RANDOM_PRIV_H

#include <stdint.h>

/*
 * A number that depends on a seed and a key alone (the finaliser of SplitMix64, Steele et al.
 * 2014): the same everywhere, and the same for an item whatever happens to the others.
 */
static inline uint64_t
imig__random(uint64_t seed, uint64_t key)
{
    uint64_t z = seed * UINT64_C(0x9E3779B97F4A7C15) + (key + 1) * UINT64_C(0xD1B54A32D192ED03);

    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

#endif
