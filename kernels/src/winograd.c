/* The sums of Winograd's F(2, 3) along the first axis: tiles of X, tiles of Y, and tiles of Y's gradient.
 *
 * Planes are (4, tiles, samples, columns, channels), images (rows, samples, columns, channels); channels are contiguous.
 */

#ifndef REAL
#include "kernels.h"

/* Whether image a[0] and planes a[1] have the same samples and contiguous channels. */
static const char *check(const gk_array *image, const gk_array *planes)
{
    if (image->ndim != 4 || planes->ndim != 5 || planes->shape[0] != 4)
        return "an image has four axes; planes have five, the first of size 4";
    if (image->shape[1] != planes->shape[2] || image->shape[3] != planes->shape[4])
        return "the image and the planes differ in samples or channels";
    if (image->shape[3] > 1 && (image->strides[3] != image->item || planes->strides[4] != planes->item))
        return "channels are not contiguous";
    return NULL;
}

static const char *check_input(const gk_array *a)
{
    if (a[2].size != 2 || ((const int *)a[2].data)[1] < 0 || ((const int *)a[2].data)[1] + a[0].shape[2] > a[1].shape[3])
        return "the image does not fit into the planes";
    return check(a, a + 1);
}

static const char *check_output(const gk_array *a)
{
    const char *wrong = check(a + 1, a);
    if (!wrong && ((a[1].shape[0] + 1) / 2 != a[0].shape[1] || a[1].shape[2] > a[0].shape[3]))
        return "the image does not fit the planes";
    return wrong;
}

static const char *check_gradient(const gk_array *a)
{
    const gk_array swapped[2] = {a[1], a[0]};
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
    "winograd_input", "x~ planes!~ place:i", check_input, winograd_input_float, winograd_input_double,
};
const gk_kernel gk_winograd_output = {
    "winograd_output", "planes~ y!~", check_output, winograd_output_float, winograd_output_double,
};
const gk_kernel gk_winograd_gradient = {
    "winograd_gradient", "dy~ planes!~", check_gradient, winograd_gradient_float, winograd_gradient_double,
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
    for (int plane = 0; plane < 4; plane++)
        for (ptrdiff_t o = from; o < to; o++) {
            REAL *v = NAME(at)(planes, plane, tile, sample, o);
            for (ptrdiff_t j = 0; j < planes->shape[4]; j++)
                v[j] = 0;
        }
}

/* Rows of x from 2 tile + place[0] on, each after place[1] columns; rows and columns beyond x are 0. */
GK_CLONES static void NAME(winograd_input)(const gk_array *a)
{
    static const REAL zeros[GK_TILE];
    const gk_array *x = a, *planes = a + 1;
    const ptrdiff_t first = ((const int *)a[2].data)[0], lead = ((const int *)a[2].data)[1], columns = x->shape[2];
    const ptrdiff_t joined = whole_row(x, planes, columns, sizeof(REAL));
    const ptrdiff_t pieces = joined ? 1 : columns, length = joined ? joined : x->shape[3];
    for (ptrdiff_t tile = 0; tile < planes->shape[1]; tile++)
        for (ptrdiff_t sample = 0; sample < planes->shape[2]; sample++) {
            NAME(no_columns)(planes, tile, sample, 0, lead);
            NAME(no_columns)(planes, tile, sample, lead + columns, planes->shape[3]);
            for (ptrdiff_t o = 0; o < pieces; o++)
                for (ptrdiff_t start = 0; start < length; start += GK_TILE) {
                    const ptrdiff_t n = GK_MIN(GK_TILE, length - start);
                    const REAL *rows[4];
                    for (int k = 0; k < 4; k++) {
                        const ptrdiff_t row = first + 2 * tile + k;
                        rows[k] = row < 0 || row >= x->shape[0] ? zeros : NAME(at)(x, row, sample, o, 0) + start;
                    }
                    const REAL *r0 = rows[0], *r1 = rows[1], *r2 = rows[2], *r3 = rows[3];
                    REAL *v0 = NAME(at)(planes, 0, tile, sample, lead + o) + start;
                    REAL *v1 = NAME(at)(planes, 1, tile, sample, lead + o) + start;
                    REAL *v2 = NAME(at)(planes, 2, tile, sample, lead + o) + start;
                    REAL *v3 = NAME(at)(planes, 3, tile, sample, lead + o) + start;
                    GK_INDEPENDENT
                    for (ptrdiff_t j = 0; j < n; j++) {
                        v0[j] = r0[j] - r2[j];
                        v1[j] = r1[j] + r2[j];
                        v2[j] = r2[j] - r1[j];
                        v3[j] = r1[j] - r3[j];
                    }
                }
        }
}

GK_CLONES static void NAME(winograd_output)(const gk_array *a)
{
    const gk_array *planes = a, *y = a + 1;
    const ptrdiff_t joined = whole_row(y, planes, y->shape[2], sizeof(REAL));
    const ptrdiff_t pieces = joined ? 1 : y->shape[2], length = joined ? joined : y->shape[3];
    for (ptrdiff_t tile = 0; tile < planes->shape[1]; tile++)
        for (ptrdiff_t sample = 0; sample < planes->shape[2]; sample++)
            for (ptrdiff_t o = 0; o < pieces; o++) {
                const REAL *m0 = NAME(at)(planes, 0, tile, sample, o), *m1 = NAME(at)(planes, 1, tile, sample, o);
                const REAL *m2 = NAME(at)(planes, 2, tile, sample, o), *m3 = NAME(at)(planes, 3, tile, sample, o);
                REAL *even = NAME(at)(y, 2 * tile, sample, o, 0), *odd = NAME(at)(y, 2 * tile + 1, sample, o, 0);
                if (2 * tile + 1 < y->shape[0]) {
                    GK_INDEPENDENT
                    for (ptrdiff_t j = 0; j < length; j++) {
                        even[j] = m0[j] + m1[j] + m2[j];
                        odd[j] = m1[j] - m2[j] - m3[j];
                    }
                } else {
                    GK_INDEPENDENT
                    for (ptrdiff_t j = 0; j < length; j++)
                        even[j] = m0[j] + m1[j] + m2[j];
                }
            }
}

/* Columns beyond those of dy, and a last odd row that it lacks, are 0. */
GK_CLONES static void NAME(winograd_gradient)(const gk_array *a)
{
    static const REAL zeros[GK_TILE];
    const gk_array *dy = a, *planes = a + 1;
    const ptrdiff_t joined = whole_row(dy, planes, dy->shape[2], sizeof(REAL));
    const ptrdiff_t pieces = joined ? 1 : dy->shape[2], length = joined ? joined : dy->shape[3];
    for (ptrdiff_t tile = 0; tile < planes->shape[1]; tile++)
        for (ptrdiff_t sample = 0; sample < planes->shape[2]; sample++) {
            NAME(no_columns)(planes, tile, sample, dy->shape[2], planes->shape[3]);
            for (ptrdiff_t o = 0; o < pieces; o++)
                for (ptrdiff_t start = 0; start < length; start += GK_TILE) {
                    const ptrdiff_t n = GK_MIN(GK_TILE, length - start);
                    const REAL *even = NAME(at)(dy, 2 * tile, sample, o, 0) + start;
                    const int last = 2 * tile + 1 >= dy->shape[0];
                    const REAL *odd = last ? zeros : NAME(at)(dy, 2 * tile + 1, sample, o, 0) + start;
                    REAL *d0 = NAME(at)(planes, 0, tile, sample, o) + start;
                    REAL *d1 = NAME(at)(planes, 1, tile, sample, o) + start;
                    REAL *d2 = NAME(at)(planes, 2, tile, sample, o) + start;
                    REAL *d3 = NAME(at)(planes, 3, tile, sample, o) + start;
                    GK_INDEPENDENT
                    for (ptrdiff_t j = 0; j < n; j++) {
                        d0[j] = even[j];
                        d1[j] = even[j] + odd[j];
                        d2[j] = even[j] - odd[j];
                        d3[j] = odd[j];
                    }
                }
        }
}
#endif
