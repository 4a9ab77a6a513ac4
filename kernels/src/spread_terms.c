/* The terms of a transposed convolution, added where they belong: y[n, y stride + k dilation - begin, f] is the sum of terms[n, y, k, f].
 *
 * terms (N, inputs..., taps..., filters), y (N, outputs..., filters) with contiguous filters; `sizes` has for each spatial axis the
 * stride, then the dilations, then the begins. An output is summed tap by tap, the last axis first to change.
 */

#ifndef REAL
#include "kernels.h"

#define MOST_AXES 3
#define MOST_TAPS 256
#define MOST_ALONG 16 /* of the last axis */
#define TILE 64       /* outputs of a row whose taps are found at once */

static const char *check(const gk_array *a)
{
    const gk_array *x = a, *y = a + 1, *sizes = a + 2;
    const int axes = y->ndim - 2, *size = sizes->data;
    if (axes < 1 || axes > MOST_AXES || x->ndim != 2 * axes + 2 || sizes->size != 3 * axes)
        return "needs one to three spatial axes, and three sizes for each";
    if (x->shape[0] != y->shape[0] || x->shape[2 * axes + 1] != y->shape[axes + 1])
        return "the terms and the result differ in samples or filters";
    if (y->shape[axes + 1] > 1 && y->strides[axes + 1] != y->item)
        return "filters are not contiguous";
    ptrdiff_t taps = 1;
    for (int k = 0; k < axes; k++) {
        taps *= x->shape[axes + 1 + k];
        if (size[k] < 1 || size[axes + k] < 1)
            return "strides and dilations must be positive";
    }
    return taps > MOST_TAPS || x->shape[2 * axes] > MOST_ALONG ? "there are at most 256 taps, 16 of the last axis" : NULL;
}

/* The taps that reach output `o` of an axis, as offsets in elements of the terms; return their number. */
static int reaching(const gk_array *x, const int *size, int axes, int axis, ptrdiff_t o, ptrdiff_t *offset)
{
    const ptrdiff_t stride = size[axis], gap = size[axes + axis], item = x->item;
    int n = 0;
    for (ptrdiff_t k = 0; k < x->shape[axes + 1 + axis]; k++) {
        const ptrdiff_t from = o + size[2 * axes + axis] - k * gap;
        if (from >= 0 && from % stride == 0 && from / stride < x->shape[axis + 1])
            offset[n++] = (from / stride * x->strides[axis + 1] + k * x->strides[axes + 1 + axis]) / item;
    }
    return n;
}

#define SOURCE "spread_terms.c"
#include "each_real.h"

const gk_kernel gk_spread_terms = {"spread_terms", "terms y!~ sizes:i", check, spread_terms_float, spread_terms_double, NULL};
#else

/* `filters` sums of `count` terms each. */
GK_INLINE void NAME(add_terms)(const REAL *x, const ptrdiff_t *offset, int count, REAL *y, const int filters)
{
    REAL sums[8] = {0};
    for (int t = 0; t < count; t++)
        for (int f = 0; f < filters; f++)
            sums[f] += x[offset[t] + f];
    for (int f = 0; f < filters; f++)
        y[f] = sums[f];
}

GK_CLONES static void NAME(spread_terms)(const gk_array *a)
{
    const gk_array *x = a, *y = a + 1;
    const int axes = y->ndim - 2, *size = a[2].data;
    const ptrdiff_t filters = y->shape[axes + 1], width = y->shape[axes], step = y->strides[axes] / (ptrdiff_t)sizeof(REAL);
    ptrdiff_t rows = 1;
    for (int k = 0; k < axes - 1; k++)
        rows *= y->shape[k + 1];
    for (ptrdiff_t start = 0; start < width && filters; start += TILE) {
        ptrdiff_t along[TILE][MOST_ALONG], before[MOST_TAPS], down[MOST_TAPS], offset[MOST_TAPS];
        int counts[TILE];
        const ptrdiff_t n = GK_MIN(TILE, width - start);
        for (ptrdiff_t o = 0; o < n; o++)
            counts[o] = reaching(x, size, axes, axes - 1, start + o, along[o]);
        for (ptrdiff_t r = 0; r < y->shape[0] * rows; r++) {
            ptrdiff_t rest = r % rows, at = r / rows * y->strides[0];
            int reached = 1;
            before[0] = r / rows * (x->strides[0] / (ptrdiff_t)sizeof(REAL));
            for (int k = axes - 2; k >= 0; k--) {
                const ptrdiff_t o = rest % y->shape[k + 1];
                const int count = reaching(x, size, axes, k, o, down);
                for (int i = 0; i < reached * count; i++)
                    offset[i] = before[i % reached] + down[i / reached];
                reached *= count;
                for (int i = 0; i < reached; i++)
                    before[i] = offset[i];
                rest /= y->shape[k + 1];
                at += o * y->strides[k + 1];
            }
            REAL *out = (REAL *)((char *)y->data + at) + start * step;
            for (ptrdiff_t o = 0; o < n; o++, out += step) {
                const int count = counts[o];
                for (int i = 0, t = 0; i < reached; i++)
                    for (int j = 0; j < count; j++, t++)
                        offset[t] = before[i] + along[o][j];
                for (ptrdiff_t f = 0; f < filters; f += 8) {
                    const REAL *from = (const REAL *)x->data + f;
                    switch (GK_MIN(8, filters - f)) {
                    case 1: NAME(add_terms)(from, offset, reached * count, out + f, 1); break;
                    case 2: NAME(add_terms)(from, offset, reached * count, out + f, 2); break;
                    case 3: NAME(add_terms)(from, offset, reached * count, out + f, 3); break;
                    case 4: NAME(add_terms)(from, offset, reached * count, out + f, 4); break;
                    case 8: NAME(add_terms)(from, offset, reached * count, out + f, 8); break;
                    default: NAME(add_terms)(from, offset, reached * count, out + f, (int)GK_MIN(8, filters - f)); break;
                    }
                }
            }
        }
    }
}
#endif
