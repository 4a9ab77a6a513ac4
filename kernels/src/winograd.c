/* The sums of Winograd's F(m, r) along the first axis: tiles of X, tiles of Y, and tiles of Y's gradient.
 *
 * Planes are (products, tiles, samples, columns, channels), with 4 or 6 products, images (rows, samples, columns, channels);
 * channels are contiguous.
 */

#ifndef REAL
#include "kernels.h"

/* The points of 6 products are 0, ±A, ±B and infinity, those of 4 are 0, ±1 and infinity. Powers of A and B are exact. */
#define A (REAL)0.625
#define B (REAL)1.5

/* Whether image a[0] and planes a[1] have the same samples and contiguous channels. */
static const char *check(const gk_array *image, const gk_array *planes)
{
    if (image->ndim != 4 || planes->ndim != 5 || (planes->shape[0] != 4 && planes->shape[0] != 6))
        return "an image has four axes; planes have five, the first of size 4 or 6";
    if (image->shape[1] != planes->shape[2] || image->shape[3] != planes->shape[4])
        return "the image and the planes differ in samples or channels";
    if (image->shape[3] > 1 && (image->strides[3] != image->item || planes->strides[4] != planes->item))
        return "channels are not contiguous";
    return NULL;
}

static const char *check_input(const gk_array *a)
{
    const int *tiles = a[2].data;
    if (a[2].size != 3 || tiles[1] < 0 || tiles[1] + a[0].shape[2] > a[1].shape[3])
        return "the image does not fit into the planes";
    return check(a, a + 1);
}

static const char *check_output(const gk_array *a)
{
    const char *wrong = check(a + 1, a);
    const int step = a[2].size == 1 ? *(const int *)a[2].data : 0;
    if (wrong)
        return wrong;
    if (step < 2 || step >= a[0].shape[0])
        return "a tile has from 2 rows to one less than there are planes";
    if ((a[1].shape[0] + step - 1) / step != a[0].shape[1] || a[1].shape[2] > a[0].shape[3])
        return "the image does not fit the planes";
    return NULL;
}

static const char *check_gradient(const gk_array *a)
{
    const gk_array swapped[3] = {a[1], a[0], a[2]};
    return check_output(swapped);
}

/* Elements of a row of n columns, if they follow one another in memory; else 0. */
static ptrdiff_t whole_row(const gk_array *x, const gk_array *y, ptrdiff_t n, ptrdiff_t item)
{
    const ptrdiff_t channels = x->shape[x->ndim - 1], width = channels * item;
    return x->strides[x->ndim - 2] == width && y->strides[y->ndim - 2] == width ? n * channels : 0;
}

#define SOURCE "winograd.c"
#include "each_real.h"

const gk_kernel gk_winograd_input = {
    "winograd_input", "x~ planes!~ tiles:i", check_input, winograd_input_float, winograd_input_double,
};
const gk_kernel gk_winograd_output = {
    "winograd_output", "planes~ y!~ step:i", check_output, winograd_output_float, winograd_output_double,
};
const gk_kernel gk_winograd_gradient = {
    "winograd_gradient", "dy~ planes!~ step:i", check_gradient, winograd_gradient_float, winograd_gradient_double,
};
#else

/* The channels of an image at (i, j, k), or of planes at (i, j, k, l). */
GK_INLINE REAL *NAME(at)(const gk_array *a, ptrdiff_t i, ptrdiff_t j, ptrdiff_t k, ptrdiff_t l)
{
    return (REAL *)((char *)a->data + (i * a->strides[0] + j * a->strides[1] + k * a->strides[2] +
                                       (a->ndim > 4 ? l * a->strides[3] : 0)));
}

/* Zeros in columns `from` to `to` of a row of every plane. */
GK_INLINE void NAME(no_columns)(const gk_array *planes, ptrdiff_t tile, ptrdiff_t sample, ptrdiff_t from, ptrdiff_t to)
{
    for (ptrdiff_t plane = 0; plane < planes->shape[0]; plane++)
        for (ptrdiff_t o = from; o < to; o++) {
            REAL *v = NAME(at)(planes, plane, tile, sample, o);
            for (ptrdiff_t j = 0; j < planes->shape[4]; j++)
                v[j] = 0;
        }
}

GK_INLINE void NAME(input_sums)(REAL *const *v, const REAL *const *d, ptrdiff_t n, int products)
{
    const REAL *d0 = d[0], *d1 = d[1], *d2 = d[2], *d3 = d[3], *d4 = d[4], *d5 = d[5];
    REAL *v0 = v[0], *v1 = v[1], *v2 = v[2], *v3 = v[3], *v4 = v[4], *v5 = v[5];
    if (products == 4) {
        GK_INDEPENDENT
        for (ptrdiff_t j = 0; j < n; j++) {
            v0[j] = d2[j] - d0[j];
            v1[j] = d2[j] + d1[j];
            v2[j] = d2[j] - d1[j];
            v3[j] = d3[j] - d1[j];
        }
        return;
    }
    const REAL a2 = A * A, b2 = B * B;
    GK_INDEPENDENT
    for (ptrdiff_t j = 0; j < n; j++) {
        const REAL w = d3[j] - d1[j] * a2, u = d4[j] - d2[j] * a2, odd = (d3[j] - d1[j] * b2) * A, even = d4[j] - d2[j] * b2;
        v0[j] = u - (d2[j] - d0[j] * a2) * b2;
        v1[j] = even + odd;
        v2[j] = even - odd;
        v3[j] = u + w * B;
        v4[j] = u - w * B;
        v5[j] = (d5[j] - d3[j] * a2) - w * b2;
    }
}

/* The first `count` of `step` rows y[k] of a tile from its products. */
GK_INLINE void NAME(output_sums)(REAL *const *y, const REAL *const *m, ptrdiff_t n, int products, int step, int count)
{
    const REAL *m0 = m[0], *m1 = m[1], *m2 = m[2], *m3 = m[3], *m4 = m[4], *m5 = m[5];
    REAL a = 1, b = 1;
    for (int k = 0; k < count; k++, a *= A, b *= B) {
        const REAL *last = k < step - 1 ? NULL : products == 4 ? m3 : m5;
        REAL *out = y[k];
#define EACH_OF(value) \
    { \
        GK_INDEPENDENT \
        for (ptrdiff_t j = 0; j < n; j++) \
            out[j] = value; \
    }
#define EACH(first) \
    if (last) \
        EACH_OF(first + last[j]) \
    else \
        EACH_OF(first)
        if (products == 4) {
            if (k == 0)
                EACH_OF(m0[j] + (m1[j] + m2[j]))
            else if (k % 2)
                EACH((m1[j] - m2[j]))
            else
                EACH((m1[j] + m2[j]))
        } else if (k == 0)
            EACH_OF((m0[j] + (m1[j] + m2[j])) + (m3[j] + m4[j]))
        else if (k % 2)
            EACH(((m1[j] - m2[j]) * a + (m3[j] - m4[j]) * b))
        else
            EACH(((m1[j] + m2[j]) * a + (m3[j] + m4[j]) * b))
#undef EACH
#undef EACH_OF
    }
}

/* `d[0]` to `d[step - 1]` are the rows of a tile. */
GK_INLINE void NAME(gradient_sums)(REAL *const *v, const REAL *const *d, ptrdiff_t n, int products, int step)
{
    const REAL *d0 = d[0], *d1 = d[1], *d2 = d[2], *d3 = d[3], *d4 = d[4];
    REAL *v0 = v[0], *v1 = v[1], *v2 = v[2], *v3 = v[3], *v4 = v[4], *last = v[products - 1];
    const REAL *final = d[step - 1];
    const REAL a = products == 4 ? 1 : A, b = B, a2 = a * a, b2 = b * b;
    GK_INDEPENDENT
    for (ptrdiff_t j = 0; j < n; j++) {
        REAL even = d0[j], odd = d1[j], even_b = even, odd_b = odd;
        if (step == 3 || step == 4)
            even = d2[j] * a2 + d0[j], even_b = d2[j] * b2 + d0[j];
        if (step == 5)
            even = (d4[j] * a2 + d2[j]) * a2 + d0[j], even_b = (d4[j] * b2 + d2[j]) * b2 + d0[j];
        if (step >= 4)
            odd = d3[j] * a2 + d1[j], odd_b = d3[j] * b2 + d1[j];
        const REAL end = final[j];
        v0[j] = d0[j];
        v1[j] = even + odd * a;
        v2[j] = even - odd * a;
        if (products == 6) {
            v3[j] = even_b + odd_b * b;
            v4[j] = even_b - odd_b * b;
        }
        last[j] = end;
    }
}

/* Rows of x from m·tile + tiles[0] on, each after tiles[1] columns; rows and columns beyond x are 0. */
GK_CLONES static void NAME(winograd_input)(const gk_array *a)
{
    static const REAL zeros[GK_TILE];
    const gk_array *x = a, *planes = a + 1;
    const int *tiles = a[2].data, products = (int)planes->shape[0];
    const ptrdiff_t first = tiles[0], lead = tiles[1], m = tiles[2], columns = x->shape[2];
    const ptrdiff_t joined = whole_row(x, planes, columns, sizeof(REAL));
    const ptrdiff_t pieces = joined ? 1 : columns, length = joined ? joined : x->shape[3];
    for (ptrdiff_t tile = 0; tile < planes->shape[1]; tile++)
        for (ptrdiff_t sample = 0; sample < planes->shape[2]; sample++) {
            NAME(no_columns)(planes, tile, sample, 0, lead);
            NAME(no_columns)(planes, tile, sample, lead + columns, planes->shape[3]);
            for (ptrdiff_t o = 0; o < pieces; o++)
                for (ptrdiff_t start = 0; start < length; start += GK_TILE) {
                    const ptrdiff_t n = GK_MIN(GK_TILE, length - start);
                    const REAL *rows[6] = {zeros, zeros, zeros, zeros, zeros, zeros};
                    REAL *v[6] = {0};
                    for (int k = 0; k < products; k++) {
                        const ptrdiff_t row = first + m * tile + k;
                        if (row >= 0 && row < x->shape[0])
                            rows[k] = NAME(at)(x, row, sample, o, 0) + start;
                        v[k] = NAME(at)(planes, k, tile, sample, lead + o) + start;
                    }
                    NAME(input_sums)(v, rows, n, products);
                }
        }
}

GK_CLONES static void NAME(winograd_output)(const gk_array *a)
{
    const gk_array *planes = a, *y = a + 1;
    const int products = (int)planes->shape[0], step = *(const int *)a[2].data;
    const ptrdiff_t joined = whole_row(y, planes, y->shape[2], sizeof(REAL));
    const ptrdiff_t pieces = joined ? 1 : y->shape[2], length = joined ? joined : y->shape[3];
    for (ptrdiff_t tile = 0; tile < planes->shape[1]; tile++)
        for (ptrdiff_t sample = 0; sample < planes->shape[2]; sample++)
            for (ptrdiff_t o = 0; o < pieces; o++) {
                const int count = (int)GK_MIN(step, y->shape[0] - step * tile);
                const REAL *m[6] = {0};
                REAL *rows[5] = {0};
                for (int k = 0; k < products; k++)
                    m[k] = NAME(at)(planes, k, tile, sample, o);
                for (int k = 0; k < count; k++)
                    rows[k] = NAME(at)(y, step * tile + k, sample, o, 0);
                NAME(output_sums)(rows, m, length, products, step, count);
            }
}

/* Columns beyond those of dy, and rows of the last tile that it lacks, are 0. */
GK_CLONES static void NAME(winograd_gradient)(const gk_array *a)
{
    static const REAL zeros[GK_TILE];
    const gk_array *dy = a, *planes = a + 1;
    const int products = (int)planes->shape[0], step = *(const int *)a[2].data;
    const ptrdiff_t joined = whole_row(dy, planes, dy->shape[2], sizeof(REAL));
    const ptrdiff_t pieces = joined ? 1 : dy->shape[2], length = joined ? joined : dy->shape[3];
    for (ptrdiff_t tile = 0; tile < planes->shape[1]; tile++)
        for (ptrdiff_t sample = 0; sample < planes->shape[2]; sample++) {
            NAME(no_columns)(planes, tile, sample, dy->shape[2], planes->shape[3]);
            for (ptrdiff_t o = 0; o < pieces; o++)
                for (ptrdiff_t start = 0; start < length; start += GK_TILE) {
                    const ptrdiff_t n = GK_MIN(GK_TILE, length - start);
                    const REAL *d[5] = {zeros, zeros, zeros, zeros, zeros};
                    REAL *v[6] = {0};
                    for (int k = 0; k < products; k++)
                        v[k] = NAME(at)(planes, k, tile, sample, o) + start;
                    for (int k = 0; k < step && step * tile + k < dy->shape[0]; k++)
                        d[k] = NAME(at)(dy, step * tile + k, sample, o, 0) + start;
                    switch (products * 8 + step) { /* a loop for each, without branches */
                    case 34: NAME(gradient_sums)(v, d, n, 4, 2); break;
                    case 35: NAME(gradient_sums)(v, d, n, 4, 3); break;
                    case 50: NAME(gradient_sums)(v, d, n, 6, 2); break;
                    case 51: NAME(gradient_sums)(v, d, n, 6, 3); break;
                    case 52: NAME(gradient_sums)(v, d, n, 6, 4); break;
                    default: NAME(gradient_sums)(v, d, n, 6, 5); break;
                    }
                }
        }
}
#endif
