/* SPDX-License-Identifier: Apache-2.0
 *
 * The arithmetic of kernels.py for one unit of work in one call that holds no interpreter lock: read a block of every
 * source, compute, write, while all of it is in the processor's cache. Same bytes as the numpy kernels, by the same
 * roundings (promise 2): each operation is rounded once to the working format, nothing is fused (-ffp-contract=off),
 * the last step is one rounding to nearest even. Chat Vector (arXiv 2310.04799), equations 1 and 2.
 *
 * What it does not know, or does not like (non-finite values, an error of the system, a short read) it reports by its
 * status, and the caller does the unit again by the numpy kernels, which find the words.
 *
 * Little-endian machines only, as the file format and numpy's views of it.
 */
#include "kernel.h"

/* squares: of each term's unscaled difference. word sums are those of staging.checksum. */
struct result {
    int32_t status;
    int32_t error;
    uint64_t sum, mixed;
};

/* The revision of the structures and of what they mean, and their sizes: native.py asks before it trusts them. */
int kernel_layout(int which) {
    const int known[] = {3, sizeof(struct unit), sizeof(struct term), sizeof(struct result)};
    return known[which];
}

/* ---- stored formats to the working format, exactly ---- */

INLINE float half_bits_to_float(uint16_t half) {
    /* As halves.widen: the product puts the bias right, for subnormal halves too. Infinity and NaN become finite here;
     * the callers look for their exponent before. */
    uint32_t bits = (uint32_t)((int32_t)(int16_t)half << 13) & 0x8FFFE000u;
    float value;
    memcpy(&value, &bits, 4);
    return value * 0x1p112f;
}

#define LOAD(NAME, WORK)                                                                                               \
    INLINE void NAME(const void *restrict from, int dtype, int64_t count, WORK *restrict to) {                        \
        if (dtype == BF16) {                                                                                           \
            const uint16_t *restrict in = from;                                                                        \
            for (int64_t i = 0; i < count; i++) {                                                                      \
                uint32_t bits = (uint32_t)in[i] << 16;                                                                 \
                float value;                                                                                           \
                memcpy(&value, &bits, 4);                                                                              \
                to[i] = (WORK)value;                                                                                   \
            }                                                                                                          \
        } else if (dtype == F16) {                                                                                     \
            const uint16_t *restrict in = from;                                                                        \
            for (int64_t i = 0; i < count; i++) to[i] = (WORK)half_bits_to_float(in[i]);                               \
        } else if (dtype == F32) {                                                                                     \
            const float *restrict in = from;                                                                           \
            for (int64_t i = 0; i < count; i++) to[i] = (WORK)in[i];                                                   \
        } else {                                                                                                       \
            const double *restrict in = from;                                                                          \
            for (int64_t i = 0; i < count; i++) to[i] = (WORK)in[i];                                                   \
        }                                                                                                              \
    }
LOAD(load_float, float)
LOAD(load_double, double)

/* Whether an exponent of all ones is among `count` elements: NaN or infinity. */
INLINE int has_non_finite(const void *restrict from, int dtype, int64_t count) {
    if (dtype == BF16 || dtype == F16) {
        const uint16_t *restrict in = from;
        uint16_t ones = dtype == BF16 ? 0x7F80 : 0x7C00;
        uint16_t found = 0;
        for (int64_t i = 0; i < count; i++) found |= (uint16_t)((in[i] & ones) == ones);
        return found;
    }
    if (dtype == F32) {
        const uint32_t *restrict in = from;
        uint32_t found = 0;
        for (int64_t i = 0; i < count; i++) found |= (in[i] & 0x7F800000u) == 0x7F800000u;
        return found != 0;
    }
    const uint64_t *restrict in = from;
    uint64_t found = 0;
    for (int64_t i = 0; i < count; i++) found |= (in[i] & 0x7FF0000000000000u) == 0x7FF0000000000000u;
    return found != 0;
}

/* ---- the working format to the output's, rounded once to nearest even ---- */

INLINE void store_bf16(const float *restrict from, int64_t count, uint16_t *restrict to) {
    for (int64_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &from[i], 4);
        to[i] = (uint16_t)((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16); /* a NaN may become any non-finite */
    }
}

INLINE void store_f16(const float *restrict from, int64_t count, uint16_t *restrict to) {
    /* As halves.narrow: |v| + 2^(exponent + 13) rounds |v| as the half must be rounded. What overflows or is not
     * finite becomes infinity. */
    for (int64_t i = 0; i < count; i++) {
        uint32_t bits, size, power;
        memcpy(&bits, &from[i], 4);
        size = bits & 0x7FFFFFFFu;
        power = size & 0x7F800000u;
        power = power < 0x38800000u ? 0x38800000u : power; /* 2^-14, the smallest normal half */
        power += 13u << 23;
        float magnitude, step;
        memcpy(&magnitude, &size, 4);
        memcpy(&step, &power, 4);
        magnitude += step;
        uint32_t units;
        memcpy(&units, &magnitude, 4);
        units -= power;
        units += (power >> 13) - ((127u - 14u + 13u) << 10);
        units = size >= 0x477FF000u ? 0x7C00u : units; /* 65520 and above, NaN among them */
        to[i] = (uint16_t)(units | ((bits >> 16) & 0x8000u));
    }
}

/* Returns 0 where this pair of formats is left to the numpy kernels. */
INLINE int store_float(const float *restrict from, int64_t count, void *restrict to, int dtype) {
    if (dtype == BF16) store_bf16(from, count, to);
    else if (dtype == F16) store_f16(from, count, to);
    else if (dtype == F32) memcpy(to, from, (size_t)count * 4);
    else return 0;
    return 1;
}

INLINE int store_double(const double *restrict from, int64_t count, void *restrict to, int dtype) {
    if (dtype == F64) memcpy(to, from, (size_t)count * 8);
    else if (dtype == F32) for (int64_t i = 0; i < count; i++) ((float *)to)[i] = (float)from[i];
    else return 0;
    return 1;
}

/* ---- sums of squares: of a step in lanes of its own format, of all steps in float64 ---- */

#define SQUARES(NAME, WORK)                                                                                            \
    INLINE void NAME(const WORK *restrict values, int64_t count, double *restrict squares) {                          \
        WORK lanes[LANES] = {0};                                                                                       \
        int64_t whole = count / LANES * LANES;                                                                         \
        for (int64_t i = 0; i < whole; i += LANES)                                                                     \
            for (int64_t lane = 0; lane < LANES; lane++) lanes[lane] += values[i + lane] * values[i + lane];           \
        for (int64_t i = whole; i < count; i++) lanes[i - whole] += values[i] * values[i];                             \
        for (int64_t lane = 0; lane < LANES; lane++) *squares += (double)lanes[lane];                                  \
    }
SQUARES(add_squares, float)
SQUARES(add_squares_double, double)

/* ---- one step: acc = target; acc += scale · (plus − minus) for every term ---- */

/* `pieces` are the sources' bytes: target, then plus and minus of every term. squares: one sum a term. */
#define COMPUTE(NAME, WORK, LOADER, SQUARE, STORE)                                                                         \
    INLINE int NAME(const struct unit *unit, const char *const *pieces, int64_t at, int64_t count, char *restrict out,\
                    double *restrict squares) {                                                                        \
        WORK total[STEP], part[STEP], spare[STEP];                                                                     \
        if (is_absent(&unit->target))                                                                                     \
            for (int64_t i = 0; i < count; i++) total[i] = (WORK)-0.0;                                                 \
        else                                                                                                           \
            LOADER(pieces[0] + at * item_bytes[unit->target.dtype], unit->target.dtype, count, total);                 \
        for (int32_t t = 0; t < unit->terms; t++) {                                                                    \
            const struct term *term = &unit->term[t];                                                                  \
            LOADER(pieces[1 + 2 * t] + at * item_bytes[term->plus.dtype], term->plus.dtype, count, part);              \
            if (term->has_minus) {                                                                                     \
                LOADER(pieces[2 + 2 * t] + at * item_bytes[term->minus.dtype], term->minus.dtype, count, spare);       \
                for (int64_t i = 0; i < count; i++) part[i] = part[i] - spare[i];                                      \
            }                                                                                                          \
            SQUARE(part, count, squares + t);                                                                          \
            WORK scale = (WORK)term->scale;                                                                            \
            for (int64_t i = 0; i < count; i++) total[i] = total[i] + scale * part[i];                                 \
        }                                                                                                              \
        return STORE(total, count, out, unit->output.dtype);                                                           \
    }
COMPUTE(compute_float, float, load_float, add_squares, store_float)
COMPUTE(compute_double, double, load_double, add_squares_double, store_double)

/* ---- blocks ---- */

static int write_all(int fd, const char *buffer, int64_t nbytes, int64_t offset, int32_t *error) {
    while (nbytes > 0) {
        ssize_t count = pwrite(fd, buffer, (size_t)nbytes, (off_t)offset);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) { *error = errno; return SYSTEM; }
        buffer += count, offset += count, nbytes -= count;
    }
    return DONE;
}

/* The words of staging.checksum over `nbytes` more bytes: their sum and their exclusive or. The length and the odd
 * bytes at the end of a unit are the caller's to add. */
INLINE void add_words(const char *restrict bytes, int64_t nbytes, struct result *result) {
    uint64_t sum = 0, mixed = 0;
    for (int64_t i = 0; i + 8 <= nbytes; i += 8) {
        uint64_t word;
        memcpy(&word, bytes + i, 8);
        sum += word;
        mixed ^= word;
    }
    uint64_t tail = 0;
    memcpy(&tail, bytes + nbytes / 8 * 8, (size_t)(nbytes % 8));
    result->sum += sum + tail;
    result->mixed ^= mixed;
}

/* ---- the common case in one pass: one vector, two parents, BF16 throughout ---- */

INLINE float wide_bf16(uint16_t half) {
    uint32_t bits = (uint32_t)half << 16;
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

/* As compute_block, with fewer passes over the scratch: the same operations in the same order. */
INLINE int merge_bf16(const uint16_t *restrict target, const uint16_t *restrict plus, const uint16_t *restrict minus,
                      float scale, int64_t count, uint16_t *restrict out, double *restrict squares,
                      struct result *result) {
    float part[STEP];
    uint16_t found = 0;
    for (int64_t at = 0; at < count; at += STEP) {
        for (int64_t i = 0; i < STEP; i++) part[i] = wide_bf16(plus[at + i]) - wide_bf16(minus[at + i]);
        add_squares(part, STEP, squares);
        for (int64_t i = 0; i < STEP; i++) {
            float sum = wide_bf16(target[at + i]) + scale * part[i];
            uint32_t bits;
            memcpy(&bits, &sum, 4);
            out[at + i] = (uint16_t)((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16);
        }
        for (int64_t i = 0; i < STEP; i++) found |= (uint16_t)((out[at + i] & 0x7F80) == 0x7F80);
        add_words((const char *)(out + at), STEP * 2, result);
    }
    return found ? NOT_FINITE : DONE;
}

INLINE int is_common(const struct unit *unit, int64_t count) {
    return !unit->wide && unit->terms == 1 && unit->term->has_minus && !is_absent(&unit->target) &&
           unit->target.dtype == BF16 && unit->term->plus.dtype == BF16 && unit->term->minus.dtype == BF16 &&
           unit->output.dtype == BF16 && count % STEP == 0;
}

/* A block of `count` elements whose sources lie in `pieces`, into `out`. */
EVERY_PROCESSOR
static int compute_block(const struct unit *unit, const char *const *pieces, int64_t count, char *out,
                         double *squares, struct result *result) {
    int item = item_bytes[unit->output.dtype];
    if (is_common(unit, count))
        return merge_bf16((const uint16_t *)pieces[0], (const uint16_t *)pieces[1], (const uint16_t *)pieces[2],
                          (float)unit->term->scale, count, (uint16_t *)out, squares, result);
    if (unit->terms == 0) {
        if (unit->target.dtype != unit->output.dtype) return UNKNOWN;
        memcpy(out, pieces[0], (size_t)(count * item));
    }
    /* Halves lose infinity and NaN when they are widened: look before. */
    if (!is_absent(&unit->target) && unit->target.dtype == F16 && has_non_finite(pieces[0], F16, count)) return NOT_FINITE;
    for (int32_t t = 0; t < unit->terms; t++) {
        const struct term *term = &unit->term[t];
        if (term->plus.dtype == F16 && has_non_finite(pieces[1 + 2 * t], F16, count)) return NOT_FINITE;
        if (term->has_minus && term->minus.dtype == F16 && has_non_finite(pieces[2 + 2 * t], F16, count))
            return NOT_FINITE;
    }
    for (int64_t at = 0; unit->terms > 0 && at < count; at += STEP) {
        int64_t some = count - at < STEP ? count - at : STEP;
        int known = unit->wide ? compute_double(unit, pieces, at, some, out + at * item, squares)
                               : compute_float(unit, pieces, at, some, out + at * item, squares);
        if (!known) return UNKNOWN;
    }
    /* What is not finite in a source stays so up to here: no operation on the way can lose it. */
    if (has_non_finite(out, unit->output.dtype, count)) return NOT_FINITE;
    add_words(out, count * item, result);
    return DONE;
}

/* Read, compute and write one unit, into memory where the output has an address. squares: [terms] sums of squares of the unscaled differences. Returns the status,
 * which is also in `result`; on any but DONE the output's bytes are undefined. */
int merge_unit(const struct unit *unit, struct result *result, double *squares, char *scratch, int64_t room) {
    const char *pieces[1 + 2 * 64];
    result->status = DONE, result->error = 0, result->sum = 0, result->mixed = 0;
    if (unit->terms > 64) return result->status = UNKNOWN;
    for (int32_t t = 0; t < unit->terms; t++) squares[t] = 0;
    int64_t width = is_absent(&unit->target) ? 0 : item_bytes[unit->target.dtype];
    for (int32_t t = 0; t < unit->terms; t++)
        width += item_bytes[unit->term[t].plus.dtype] + (unit->term[t].has_minus ? item_bytes[unit->term[t].minus.dtype] : 0);
    int64_t block = block_elements(room, width + item_bytes[unit->output.dtype], 2 + 2 * unit->terms);
    if (block == 0) return result->status = UNKNOWN;
    for (int64_t start = 0; start < unit->elements; start += block) {
        int64_t count = unit->elements - start < block ? unit->elements - start : block;
        char *place = round_up(scratch);
        for (int32_t s = 0; s < 1 + 2 * unit->terms; s++) {
            const struct source *source = s == 0       ? &unit->target
                                          : s % 2 == 1 ? &unit->term[(s - 1) / 2].plus
                                                       : &unit->term[(s - 1) / 2].minus;
            if (s > 0 && s % 2 == 0 && !unit->term[(s - 1) / 2].has_minus) continue;
            result->status = fetch(source, start, count, &place, &pieces[s], &result->error);
            if (result->status != DONE) return result->status;
        }
        int item = item_bytes[unit->output.dtype];
        int64_t offset = unit->output.offset + start * item;
        char *out = unit->output.data ? (char *)unit->output.data + start * item : room_to_write(place, offset);
        result->status = compute_block(unit, pieces, count, out, squares, result);
        if (result->status != DONE) return result->status;
        if (unit->output.data) continue;
        result->status = write_all(unit->output.fd, out, count * item, offset, &result->error);
        if (result->status != DONE) return result->status;
    }
    for (int32_t t = 0; t < unit->terms; t++)
        if (!isfinite(squares[t])) return result->status = NOT_FINITE;
    return DONE;
}
