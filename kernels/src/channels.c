/* Arithmetic by channel: y = x * factor + shift, and the gradient of batch normalization.
 *
 * Blocks are matrices (rows, width) with vectors of the width, or (outer, channels, inner) with vectors (channels, 1).
 */

#ifndef REAL
#include "kernels.h"

/* The loop over the elements of a row; INDEX is j where vectors have the width, and 0 where a row is one channel's. */
#define GK_ROW(INDEX, VALUE)                      \
    GK_INDEPENDENT                                \
    for (ptrdiff_t j = 0; j < width; j++) {       \
        const ptrdiff_t k = INDEX;                \
        (void)k;                                  \
        VALUE;                                    \
    }

/* Whether vectors `from` to `to` belong to the block a[0]. */
static const char *gk_vectors(const gk_array *a, int from, int to)
{
    for (int k = from; k <= to; k++) {
        if (!a[k].data)
            continue;
        if (a[k].ndim == 1 ? a[0].ndim != 2 || a[k].size != a[0].shape[1]
                           : a[0].ndim != 3 || a[k].ndim != 2 || a[k].shape[0] != a[0].shape[1] || a[k].shape[1] != 1)
            return "a vector does not fit the block";
    }
    return NULL;
}

static const char *gk_check_scale_shift(const gk_array *a)
{
    return gk_vectors(a, 1, 2);
}

static const char *gk_check_norm_gradient(const gk_array *a)
{
    return gk_vectors(a, 2, 4);
}

#define SOURCE "channels.c"
#include "each_real.h"

const gk_kernel gk_scale_shift = {
    "scale_shift", "x= factors? shifts y!= added?= relu?=", gk_check_scale_shift, scale_shift_float, scale_shift_double,
};
const gk_kernel gk_norm_gradient = {
    "norm_gradient", "x= dy!= slopes offsets factors weights?=", gk_check_norm_gradient,
    norm_gradient_float, norm_gradient_double,
};
#else

GK_INLINE void NAME(scale_shift_rows)(const gk_array *a, int scaled, int added, int relu)
{
    const int by_row = a[0].ndim == 3;
    const ptrdiff_t width = a[0].shape[a[0].ndim - 1], rows = width ? a[0].size / width : 0;
    const ptrdiff_t channels = by_row ? a[0].shape[1] : 1;
    for (ptrdiff_t i = 0; i < rows; i++) {
        const REAL *x = (const REAL *)a[0].data + i * width;
        const REAL *factor = scaled ? (const REAL *)a[1].data : NULL, *shift = a[2].data;
        REAL *y = (REAL *)a[3].data + i * width;
        const REAL *z = added ? (const REAL *)a[4].data + i * width : NULL;
        if (by_row) {
            const REAL f = scaled ? factor[i % channels] : 1, s = shift[i % channels];
            GK_ROW(0, REAL t = scaled ? x[j] * f + s : x[j] + s; if (added) t = t + z[j];
                   y[j] = relu && t <= 0 ? 0 : t)
        } else {
            GK_ROW(j, REAL t = scaled ? x[j] * factor[k] + shift[k] : x[j] + shift[k]; if (added) t = t + z[j];
                   y[j] = relu && t <= 0 ? 0 : t)
        }
    }
}

GK_CLONES static void NAME(scale_shift)(const gk_array *a)
{
    switch ((a[1].data ? 4 : 0) + (a[4].data ? 2 : 0) + (a[5].data ? 1 : 0)) {
    case 0: NAME(scale_shift_rows)(a, 0, 0, 0); break;
    case 1: NAME(scale_shift_rows)(a, 0, 0, 1); break;
    case 2: NAME(scale_shift_rows)(a, 0, 1, 0); break;
    case 3: NAME(scale_shift_rows)(a, 0, 1, 1); break;
    case 4: NAME(scale_shift_rows)(a, 1, 0, 0); break;
    case 5: NAME(scale_shift_rows)(a, 1, 0, 1); break;
    case 6: NAME(scale_shift_rows)(a, 1, 1, 0); break;
    default: NAME(scale_shift_rows)(a, 1, 1, 1); break;
    }
}

/* dy = dy * factor + (x * slope + offset) * weight. */
GK_INLINE void NAME(norm_gradient_rows)(const gk_array *a, int weighted)
{
    const int by_row = a[0].ndim == 3;
    const ptrdiff_t width = a[0].shape[a[0].ndim - 1], rows = width ? a[0].size / width : 0;
    const ptrdiff_t channels = by_row ? a[0].shape[1] : 1;
    const REAL *slope = a[2].data, *offset = a[3].data, *factor = a[4].data;
    for (ptrdiff_t i = 0; i < rows; i++) {
        const REAL *x = (const REAL *)a[0].data + i * width;
        REAL *dy = (REAL *)a[1].data + i * width;
        const REAL *weight = weighted ? (const REAL *)a[5].data + i * width : NULL;
        if (by_row) {
            const REAL l = slope[i % channels], o = offset[i % channels], f = factor[i % channels];
            GK_ROW(0, REAL t = x[j] * l + o; if (weighted) t = t * weight[j]; dy[j] = dy[j] * f + t)
        } else {
            GK_ROW(j, REAL t = x[j] * slope[k] + offset[k]; if (weighted) t = t * weight[j];
                   dy[j] = dy[j] * factor[k] + t)
        }
    }
}

GK_CLONES static void NAME(norm_gradient)(const gk_array *a)
{
    if (a[5].data)
        NAME(norm_gradient_rows)(a, 1);
    else
        NAME(norm_gradient_rows)(a, 0);
}
#endif
