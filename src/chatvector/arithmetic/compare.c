/* SPDX-License-Identifier: Apache-2.0
 *
 * One unit of a written tensor against its sources, computed again; nothing here is shared with the arithmetic that
 * wrote it (kernel.c, kernels.py). For one vector of two parents, BF16 throughout, which is nearly every model.
 *
 * The formula is promise 2 (Chat Vector, arXiv 2310.04799, equations 1 and 2) in float64: each operation on two
 * float32 numbers is rounded to float64 and then to float32, which is the same as rounding once, as 53 >= 2 * 24 + 2
 * (Figueroa, "When is double rounding innocuous?", SIGNUM Newsletter 30, 1995). The last step is not done again but
 * judged: a BF16 number is the nearest one to a float32 number of its sign if the two lie no further apart than half a
 * unit in its last place, which is 2^15 steps of float32 on either side, above it and below; if just so far, its last
 * bit must be 0.
 */
#include "kernel.h"

#define COMPARED 1024

/* Returns whether any of `count` elements differs. */
EVERY_PROCESSOR
static int differs(const uint16_t *restrict written, const uint16_t *restrict target, const uint16_t *restrict plus,
                   const uint16_t *restrict minus, float scale, int64_t count) {
    uint32_t wrong = 0;
    for (int64_t i = 0; i < count; i++) {
        uint32_t own_bits = (uint32_t)target[i] << 16, plus_bits = (uint32_t)plus[i] << 16;
        uint32_t minus_bits = (uint32_t)minus[i] << 16, found_bits = (uint32_t)written[i] << 16, total_bits;
        float own, chat, base;
        memcpy(&own, &own_bits, 4), memcpy(&chat, &plus_bits, 4), memcpy(&base, &minus_bits, 4);
        float delta = (float)((double)chat - (double)base);
        float step = (float)((double)scale * (double)delta);
        float total = (float)((double)own + (double)step);
        memcpy(&total_bits, &total, 4);
        uint32_t room = 0x8000u - (written[i] & 1u); /* steps of float32 on either side */
        wrong |= (total_bits - found_bits + room) > 2 * room;
        wrong |= (found_bits & 0x7F800000u) == 0x7F800000u; /* infinity and NaN have no neighbours */
    }
    return wrong != 0;
}

/* 0 where the unit's elements in unit->output, which is read, are what the sources make; 1 where one is not, or where
 * this cannot tell: other formats, errors of the system, short files. The caller then looks for itself. */
int compare_unit(const struct unit *unit, char *scratch, int64_t room) {
    const struct term *term = unit->term;
    if (unit->wide || unit->terms != 1 || !term->has_minus || is_absent(&unit->target)) return 1;
    const struct source *sources[] = {&unit->output, &unit->target, &term->plus, &term->minus};
    const uint16_t *pieces[4];
    for (int i = 0; i < 4; i++)
        if (sources[i]->dtype != BF16) return 1;
    int64_t block = block_elements(room, 4 * 2, 4);
    if (block == 0) return 1;
    for (int64_t start = 0; start < unit->elements; start += block) {
        int64_t count = unit->elements - start < block ? unit->elements - start : block;
        char *place = round_up(scratch);
        for (int i = 0; i < 4; i++) {
            int32_t error;
            const char *piece;
            if (fetch(sources[i], start, count, &place, &piece, &error) != DONE) return 1;
            pieces[i] = (const uint16_t *)piece;
        }
        for (int64_t at = 0; at < count; at += COMPARED) {
            int64_t some = count - at < COMPARED ? count - at : COMPARED;
            if (differs(pieces[0] + at, pieces[1] + at, pieces[2] + at, pieces[3] + at, (float)term->scale, some))
                return 1;
        }
    }
    return 0;
}
