/* Max pooling of a convolution whose windows read few inputs, such as of grey pictures, in one pass, and its kernel's gradient: the
 * convolution is neither written nor copied to patches.
 *
 * x (N, spatial..., C) has its padding, y (N, spatial..., filters), weights (kernel..., C, filters). `sizes` has for each spatial axis
 * the size of the pooling, then the strides of the convolution, then its dilations. `largest` is as in conv_pool.c. An output is
 * summed input by input; the gradient window by window and tap by tap in a row of windows, then row by row, then sample by sample.
 */

#ifndef REAL
#include <string.h>

#include "kernels.h"

#define MOST_INPUTS 256 /* of a window of the convolution */
#define MOST_TAPS 64    /* of a window of the pooling */
#define LANES 16        /* filters at a time */
#define AT_ONCE 4       /* sums of so many filters each */
#define PIECE 16        /* windows of a row whose gradients are spread at a time */

/* Offsets in bytes: of the taps of a pooling, and of the inputs of a window of the convolution. */
typedef struct {
    int taps, inputs, axes;
    ptrdiff_t tap[MOST_TAPS], input[MOST_INPUTS];
    ptrdiff_t step[3]; /* from one output to the next, by axis */
} Windows;

static const char *check(const gk_array *a)
{
    const gk_array *x = a, *w = a + 1, *y = a + 2, *largest = a + 3, *sizes = a + 4;
    const int axes = y->ndim - 2, *size = sizes->data;
    if (axes < 1 || axes > 3 || x->ndim != y->ndim || w->ndim != y->ndim || sizes->size != 3 * axes)
        return "needs one to three spatial axes, and three sizes for each";
    if (x->shape[0] != y->shape[0] || x->shape[axes + 1] != w->shape[axes] || y->shape[axes + 1] != w->shape[axes + 1])
        return "the operands differ in samples, channels or filters";
    ptrdiff_t taps = 1, inputs = w->shape[axes];
    for (int k = 0; k < axes; k++) {
        const int pool = size[k], stride = size[axes + k], gap = size[2 * axes + k];
        if (pool < 1 || stride < 1 || gap < 1)
            return "sizes must be positive";
        if ((y->shape[k + 1] * pool - 1) * stride + (w->shape[k] - 1) * gap + 1 > x->shape[k + 1])
            return "a window reads what is not there";
        taps *= pool;
        inputs *= w->shape[k];
    }
    if (taps > MOST_TAPS || taps % AT_ONCE || inputs < 1 || inputs > MOST_INPUTS)
        return "a pooling has a multiple of 4 taps, at most 64, and a window at most 256 inputs";
    for (int k = 0; largest->data && k < y->ndim; k++)
        if (largest->ndim != y->ndim || largest->shape[k] != y->shape[k])
            return "largest needs the shape of y";
    return NULL;
}

/* The offsets that `count` numbers of each axis have, the last axis first to change. */
static int offsets(ptrdiff_t *offset, const ptrdiff_t *count, const ptrdiff_t *step, int axes)
{
    int n = 1;
    offset[0] = 0;
    for (int k = 0; k < axes; k++) {
        n *= (int)count[k];
        for (int i = n - 1; i >= 0; i--)
            offset[i] = offset[i / count[k]] + i % count[k] * step[k];
    }
    return n;
}

static void find(const gk_array *x, const gk_array *w, const int *size, Windows *s)
{
    const int axes = s->axes = x->ndim - 2;
    ptrdiff_t pool[3], between[3], taps[4], steps[4];
    for (int k = 0; k < axes; k++) {
        pool[k] = size[k];
        between[k] = size[axes + k] * x->strides[k + 1];
        taps[k] = w->shape[k];
        steps[k] = size[2 * axes + k] * x->strides[k + 1];
        s->step[k] = pool[k] * between[k];
    }
    taps[axes] = w->shape[axes];
    steps[axes] = x->strides[axes + 1];
    s->taps = offsets(s->tap, pool, between, axes);
    s->inputs = offsets(s->input, taps, steps, axes + 1);
}

/* Where in x row `row` of a sample's rows of outputs begins, in bytes. */
static ptrdiff_t row_start(const gk_array *y, const Windows *s, ptrdiff_t row)
{
    ptrdiff_t offset = 0;
    for (int k = s->axes - 2; k >= 0; k--) {
        offset += row % y->shape[k + 1] * s->step[k];
        row /= y->shape[k + 1];
    }
    return offset;
}

/* Compilers keep sums of many in registers only as vectors, and AVX2 those of eight: there are two for 16 filters. */
#if defined(__GNUC__)
#define VECTOR(REAL) REAL __attribute__((vector_size(8 * sizeof(REAL)), aligned(sizeof(REAL)), may_alias))
#define ADD_PRODUCT(to, x, v) to = to + (x) * (v)
#else
#define VECTOR(REAL) struct { REAL j[8]; }
#define ADD_PRODUCT(to, x, v) \
    for (int j = 0; j < 8; j++) \
        to.j[j] = to.j[j] + (x) * (v).j[j];
#endif
#define LOAD(p) (*(const NAME(vector) *)(p))
#define STORE(p, from) *(NAME(vector) *)(p) = from

/* Add x times 16 numbers to two vectors. */
#define ADD_PRODUCTS(low, high, at) \
    { \
        const REAL x = *(const REAL *)(at); \
        ADD_PRODUCT(low, x, v); \
        ADD_PRODUCT(high, x, w); \
    }
#define STORE_ALL(to) \
    STORE(to, p0); \
    STORE(to + 8, q0); \
    STORE(to + 16, p1); \
    STORE(to + 24, q1); \
    STORE(to + 32, p2); \
    STORE(to + 40, q2); \
    STORE(to + 48, p3); \
    STORE(to + 56, q3);

#define SOURCE "conv_pool_direct.c"
#include "each_real.h"

const gk_kernel gk_conv_pool_direct = {
    "conv_pool_direct", "x~ weights y! largest?!:B sizes:i", check, conv_pool_direct_float, conv_pool_direct_double,
};
const gk_kernel gk_conv_pool_direct_gradient = {
    "conv_pool_direct_gradient", "x~ sums! dy largest:B sizes:i", check, conv_pool_direct_gradient_float,
    conv_pool_direct_gradient_double,
};
#else

typedef VECTOR(REAL) NAME(vector);

/* The convolution at four taps, for 16 filters. */
GK_INLINE void NAME(four_taps)(const char *from, const ptrdiff_t *tap, const Windows *s, const REAL *weights, REAL *values)
{
    NAME(vector) p0 = {0}, p1 = {0}, p2 = {0}, p3 = {0}, q0 = {0}, q1 = {0}, q2 = {0}, q3 = {0};
    const char *x0 = from + tap[0], *x1 = from + tap[1], *x2 = from + tap[2], *x3 = from + tap[3];
    for (int k = 0; k < s->inputs; k++) {
        const ptrdiff_t at = s->input[k];
        const NAME(vector) v = LOAD(weights + k * LANES), w = LOAD(weights + k * LANES + 8);
        ADD_PRODUCTS(p0, q0, x0 + at)
        ADD_PRODUCTS(p1, q1, x1 + at)
        ADD_PRODUCTS(p2, q2, x2 + at)
        ADD_PRODUCTS(p3, q3, x3 + at)
    }
    STORE_ALL(values)
}

GK_CLONES static void NAME(conv_pool_direct)(const gk_array *a)
{
    const gk_array *x = a, *y = a + 2;
    Windows s;
    find(x, a + 1, a[4].data, &s);
    const ptrdiff_t filters = y->shape[s.axes + 1], width = y->shape[s.axes], samples = y->shape[0];
    const ptrdiff_t rows = y->size ? y->size / (samples * width * filters) : 0;
    REAL w[MOST_INPUTS * LANES], values[MOST_TAPS * LANES];
    for (ptrdiff_t c = 0; c < filters; c += LANES) {
        const ptrdiff_t n = GK_MIN(LANES, filters - c);
        for (int k = 0; k < s.inputs; k++)
            for (int j = 0; j < LANES; j++)
                w[k * LANES + j] = j < n ? ((const REAL *)a[1].data)[k * filters + c + j] : 0;
        for (ptrdiff_t r = 0; r < samples * rows; r++) {
            const char *from = (const char *)x->data + r / rows * x->strides[0] + row_start(y, &s, r % rows);
            for (ptrdiff_t o = 0; o < width; o++, from += s.step[s.axes - 1]) {
                REAL most[LANES];
                uint32_t chosen[LANES];
                for (int t = 0; t < s.taps; t += AT_ONCE)
                    NAME(four_taps)(from, s.tap + t, &s, w, values + t * LANES);
                for (int j = 0; j < LANES; j++)
                    most[j] = values[j], chosen[j] = 0;
                for (int t = 1; t < s.taps; t++) {
                    const REAL *value = values + t * LANES;
                    GK_SHORT
                    for (int j = 0; j < LANES; j++) {
                        const REAL v = value[j], m = most[j];
                        chosen[j] = v > m ? (uint32_t)t : chosen[j];
                        most[j] = ((m > v) | (m != m)) ? m : v;
                    }
                }
                const ptrdiff_t place = (r * width + o) * filters + c;
                for (ptrdiff_t j = 0; j < n; j++)
                    ((REAL *)y->data)[place + j] = most[j];
                for (ptrdiff_t j = 0; a[3].data && j < n; j++)
                    ((uint8_t *)a[3].data)[place + j] = (uint8_t)(most[j] != most[j] ? (uint32_t)s.taps - 1 : chosen[j]);
            }
        }
    }
}

/* The gradients of 16 filters at each tap of `count` windows: `dy` where the tap is the largest, else 0. */
GK_INLINE void NAME(spread)(const REAL *dy, const uint8_t *largest, ptrdiff_t filters, ptrdiff_t n, ptrdiff_t count, int taps, REAL *d)
{
    for (ptrdiff_t o = 0; o < count; o++, dy += filters, largest += filters) {
        REAL value[LANES] = {0};
        BITS bits[LANES], chosen[LANES] = {0};
        for (ptrdiff_t j = 0; j < n; j++)
            value[j] = dy[j], chosen[j] = largest[j];
        memcpy(bits, value, sizeof(bits));
        for (int t = 0; t < taps; t++, d += LANES) {
            BITS kept[LANES];
            GK_SHORT
            for (int j = 0; j < LANES; j++)
                kept[j] = bits[j] & (0 - (BITS)(chosen[j] == (BITS)t));
            memcpy(d, kept, sizeof(kept));
        }
    }
}

/* Add to the sums of four inputs what `count` windows give. */
GK_INLINE void NAME(four_inputs)(const char *from, ptrdiff_t step, ptrdiff_t count, const Windows *s, int k, const REAL *d, REAL *sums)
{
    const int last = s->inputs - 1;
    const ptrdiff_t i0 = s->input[k], i1 = s->input[GK_MIN(k + 1, last)], i2 = s->input[GK_MIN(k + 2, last)];
    const ptrdiff_t i3 = s->input[GK_MIN(k + 3, last)];
    NAME(vector) p0 = {0}, p1 = {0}, p2 = {0}, p3 = {0}, q0 = {0}, q1 = {0}, q2 = {0}, q3 = {0};
    for (ptrdiff_t o = 0; o < count; o++, from += step)
        for (int t = 0; t < s->taps; t++, d += LANES) {
            const char *at = from + s->tap[t];
            const NAME(vector) v = LOAD(d), w = LOAD(d + 8);
            ADD_PRODUCTS(p0, q0, at + i0)
            ADD_PRODUCTS(p1, q1, at + i1)
            ADD_PRODUCTS(p2, q2, at + i2)
            ADD_PRODUCTS(p3, q3, at + i3)
        }
    REAL found[AT_ONCE * LANES];
    STORE_ALL(found)
    for (int j = 0; j < AT_ONCE * LANES; j++)
        sums[k * LANES + j] += found[j]; /* those of inputs that are not there are not read */
}

GK_CLONES static void NAME(conv_pool_direct_gradient)(const gk_array *a)
{
    const gk_array *x = a, *y = a + 2;
    Windows s;
    find(x, a + 1, a[4].data, &s);
    const ptrdiff_t filters = y->shape[s.axes + 1], width = y->shape[s.axes], samples = y->shape[0];
    const ptrdiff_t rows = y->size ? y->size / (samples * width * filters) : 0, step = s.step[s.axes - 1];
    REAL sums[(MOST_INPUTS + AT_ONCE) * LANES], d[PIECE * MOST_TAPS * LANES], *out = a[1].data;
    memset(out, 0, (size_t)a[1].size * sizeof(REAL));
    for (ptrdiff_t c = 0; c < filters; c += LANES) {
        const ptrdiff_t n = GK_MIN(LANES, filters - c);
        for (ptrdiff_t sample = 0; sample < samples && rows; sample++) {
            memset(sums, 0, sizeof(sums));
            for (ptrdiff_t row = 0; row < rows; row++) {
                const char *from = (const char *)x->data + sample * x->strides[0] + row_start(y, &s, row);
                for (ptrdiff_t o = 0; o < width; o += PIECE) {
                    const ptrdiff_t count = GK_MIN(PIECE, width - o), place = ((sample * rows + row) * width + o) * filters + c;
                    NAME(spread)((const REAL *)y->data + place, (const uint8_t *)a[3].data + place, filters, n, count, s.taps, d);
                    for (int k = 0; k < s.inputs; k += AT_ONCE)
                        NAME(four_inputs)(from + o * step, step, count, &s, k, d, sums);
                }
            }
            for (int k = 0; k < s.inputs; k++)
                for (ptrdiff_t j = 0; j < n; j++)
                    out[k * filters + c + j] += sums[k * LANES + j];
        }
    }
}
#endif
