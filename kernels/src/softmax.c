/* Softmax over the keys, the middle axis of (outer, keys, inner), around NumPy's exp and its sums. With inner 1 the keys of a
 * row lie side by side; else `inner` columns do, and are processed in tiles. */

#ifndef REAL
#include "kernels.h"

/* What np.maximum returns: NaN if one is NaN. */
#define GK_LARGER(m, x) ((((x) > (m)) | ((x) != (x))) ? (x) : (m))

/* Maxima of a row, which are joined at its end. */
#define GK_LANES 32

static const char *gk_check_shares(const gk_array *a, int whole, int one)
{
    if (a[whole].ndim != 3)
        return "needs an array (outer, keys, inner)";
    return a[one].data && a[one].size != a[whole].shape[0] * a[whole].shape[2] ? "needs a number for each sum" : NULL;
}

static const char *gk_check_subtract_largest(const gk_array *a)
{
    for (int k = 0; a[0].ndim == 3 && a[3].ndim == 3 && k < 3; k++)
        if (a[0].shape[k] != a[3].shape[k])
            return "the result has another shape";
    return a[3].ndim != 3 ? "needs an array (outer, keys, inner)" : gk_check_shares(a, 0, 2);
}

static const char *gk_check_divide_by_sum(const gk_array *a)
{
    if ((a[3].data && a[3].size != a[0].size) || (a[4].data && a[4].size != a[0].size) || !a[3].data != !a[4].data)
        return "factors or products differ in number";
    return gk_check_shares(a, 0, 1);
}

static const char *gk_check_softmax_gradient(const gk_array *a)
{
    if ((a[1].data && a[1].size != a[0].size) || a[3].size != a[0].size)
        return "factors differ in number";
    const char *wrong = gk_check_shares(a, 0, 2);
    return wrong ? wrong : gk_check_shares(a, 0, 4);
}

#define SOURCE "softmax.c"
#include "each_real.h"

const gk_kernel gk_subtract_largest = {
    "subtract_largest", "x~ least()? largest! z!", gk_check_subtract_largest, subtract_largest_float, subtract_largest_double,
};
const gk_kernel gk_divide_by_sum = {
    "divide_by_sum", "z! total! least()? kept? product!?", gk_check_divide_by_sum, divide_by_sum_float, divide_by_sum_double,
};
const gk_kernel gk_softmax_gradient = {
    "softmax_gradient", "gradient! kept? total weights seen?", gk_check_softmax_gradient, softmax_gradient_float,
    softmax_gradient_double,
};
#else

/* The largest of n numbers, at least `m`. */
GK_INLINE REAL NAME(gk_largest)(const REAL *x, ptrdiff_t n, REAL m)
{
    ptrdiff_t k = 0;
    if (n >= 2 * GK_LANES) {
        REAL lanes[GK_LANES];
        for (ptrdiff_t j = 0; j < GK_LANES; j++)
            lanes[j] = x[j];
        for (k = GK_LANES; k + GK_LANES <= n; k += GK_LANES) {
            GK_SHORT
            for (ptrdiff_t j = 0; j < GK_LANES; j++)
                lanes[j] = GK_LARGER(lanes[j], x[k + j]);
        }
        for (ptrdiff_t half = GK_LANES / 2; half; half /= 2) {
            GK_SHORT
            for (ptrdiff_t j = 0; j < half; j++)
                lanes[j] = GK_LARGER(lanes[j], lanes[j + half]);
        }
        m = GK_LARGER(m, lanes[0]);
    }
    for (; k < n; k++)
        m = GK_LARGER(m, x[k]);
    return m;
}

/* Columns of x, `row` and `step` bytes apart, copied side by side. */
GK_INLINE void NAME(gk_copy_columns)(const char *x, ptrdiff_t row, ptrdiff_t step, ptrdiff_t keys, ptrdiff_t n, REAL *z,
                                     ptrdiff_t inner)
{
    if (row == (ptrdiff_t)sizeof(REAL)) {
        for (ptrdiff_t j = 0; j < n; j++)
            for (ptrdiff_t k = 0; k < keys; k++)
                z[k * inner + j] = ((const REAL *)(x + j * step))[k];
    } else {
        for (ptrdiff_t k = 0; k < keys; k++)
            for (ptrdiff_t j = 0; j < n; j++)
                z[k * inner + j] = *(const REAL *)(x + k * row + j * step);
    }
}

/* largest = max(x, least) over the keys; z = x - largest. */
GK_CLONES static void NAME(subtract_largest)(const gk_array *a)
{
    const ptrdiff_t outer = a[0].shape[0], keys = a[0].shape[1], inner = a[0].shape[2], *strides = a[0].strides;
    const int side_by_side = strides[2] == (ptrdiff_t)sizeof(REAL) || inner == 1;
    for (ptrdiff_t o = 0; keys && o < outer; o++) {
        if (inner == 1 && (strides[1] == (ptrdiff_t)sizeof(REAL) || keys == 1)) {
            const REAL *x = (const REAL *)((const char *)a[0].data + o * strides[0]);
            REAL *z = (REAL *)a[3].data + o * keys;
            const REAL m = NAME(gk_largest)(x, keys, a[1].data ? *(const REAL *)a[1].data : x[0]);
            ((REAL *)a[2].data)[o] = m;
            GK_INDEPENDENT
            for (ptrdiff_t k = 0; k < keys; k++)
                z[k] = x[k] - m;
            continue;
        }
        for (ptrdiff_t start = 0; start < inner; start += GK_TILE) {
            const ptrdiff_t n = GK_MIN(GK_TILE, inner - start);
            const char *from = (const char *)a[0].data + o * strides[0] + start * strides[2];
            ptrdiff_t row = strides[1];
            REAL *z = (REAL *)a[3].data + o * keys * inner + start, *m = (REAL *)a[2].data + o * inner + start;
            if (!side_by_side) {
                NAME(gk_copy_columns)(from, row, strides[2], keys, n, z, inner);
                from = (const char *)z;
                row = inner * (ptrdiff_t)sizeof(REAL);
            }
            const REAL *first = (const REAL *)from;
            if (a[1].data) {
                const REAL least = *(const REAL *)a[1].data;
                GK_INDEPENDENT
                for (ptrdiff_t j = 0; j < n; j++)
                    m[j] = GK_LARGER(least, first[j]);
            } else {
                GK_INDEPENDENT
                for (ptrdiff_t j = 0; j < n; j++)
                    m[j] = first[j];
            }
            ptrdiff_t k = 1;
            for (; k + 1 < keys; k += 2) {
                const REAL *x = (const REAL *)(from + k * row), *y = (const REAL *)(from + (k + 1) * row);
                GK_INDEPENDENT
                for (ptrdiff_t j = 0; j < n; j++) {
                    const REAL largest = GK_LARGER(m[j], x[j]);
                    m[j] = GK_LARGER(largest, y[j]);
                }
            }
            for (; k < keys; k++) {
                const REAL *x = (const REAL *)(from + k * row);
                GK_INDEPENDENT
                for (ptrdiff_t j = 0; j < n; j++)
                    m[j] = GK_LARGER(m[j], x[j]);
            }
            for (k = 0; k < keys; k++) {
                const REAL *x = (const REAL *)(from + k * row);
                GK_INDEPENDENT
                for (ptrdiff_t j = 0; j < n; j++)
                    z[k * inner + j] = x[j] - m[j];
            }
        }
    }
}

/* total = 1 / max(total, least); z = z total; product = z kept. */
GK_CLONES static void NAME(divide_by_sum)(const gk_array *a)
{
    const ptrdiff_t outer = a[0].shape[0], keys = a[0].shape[1], inner = a[0].shape[2];
    REAL *total = a[1].data;
    for (ptrdiff_t i = 0; i < outer * inner; i++) {
        const REAL t = a[2].data && total[i] < *(const REAL *)a[2].data ? *(const REAL *)a[2].data : total[i];
        total[i] = 1 / t;
    }
    for (ptrdiff_t o = 0; o < outer; o++) {
        for (ptrdiff_t k = 0; k < (inner == 1 ? 1 : keys); k++) {
            const ptrdiff_t n = inner == 1 ? keys : inner, at = (o * keys + k) * inner;
            REAL *z = (REAL *)a[0].data + at;
            const REAL *factors = total + o * inner;
            if (inner == 1) {
                const REAL factor = factors[0];
                GK_INDEPENDENT
                for (ptrdiff_t j = 0; j < n; j++)
                    z[j] = z[j] * factor;
            } else {
                GK_INDEPENDENT
                for (ptrdiff_t j = 0; j < n; j++)
                    z[j] = z[j] * factors[j];
            }
            if (a[3].data) {
                const REAL *kept = (const REAL *)a[3].data + at;
                REAL *product = (REAL *)a[4].data + at;
                GK_INDEPENDENT
                for (ptrdiff_t j = 0; j < n; j++)
                    product[j] = z[j] * kept[j];
            }
        }
    }
}

/* n elements of a gradient: (gradient kept - total) weights seen. */
GK_INLINE void NAME(gk_softmax_slopes)(REAL *g, const REAL *kept, const REAL *total, const REAL *w, const REAL *seen,
                                       ptrdiff_t n)
{
    if (kept) {
        GK_INDEPENDENT
        for (ptrdiff_t j = 0; j < n; j++)
            g[j] = (g[j] * kept[j] - total[j]) * w[j];
    } else {
        GK_INDEPENDENT
        for (ptrdiff_t j = 0; j < n; j++)
            g[j] = (g[j] - total[j]) * w[j];
    }
    if (seen) {
        GK_INDEPENDENT
        for (ptrdiff_t j = 0; j < n; j++)
            g[j] = g[j] * seen[j];
    }
}

GK_CLONES static void NAME(softmax_gradient)(const gk_array *a)
{
    const ptrdiff_t outer = a[0].shape[0], keys = a[0].shape[1], inner = a[0].shape[2];
    REAL *g = a[0].data;
    const REAL *kept = a[1].data, *total = a[2].data, *w = a[3].data, *seen = a[4].data;
    if (inner > 1) {
        for (ptrdiff_t i = 0; i < outer * keys; i++) {
            const ptrdiff_t at = i * inner, column = i / keys * inner;
            NAME(gk_softmax_slopes)(g + at, kept ? kept + at : NULL, total + column, w + at, seen ? seen + column : NULL, inner);
        }
        return;
    }
    for (ptrdiff_t at = 0; inner && at < outer * keys; at += keys) {
        REAL *row = g + at;
        const REAL *weights = w + at, sum = *total++;
        if (kept) {
            const REAL *factors = kept + at;
            GK_INDEPENDENT
            for (ptrdiff_t k = 0; k < keys; k++)
                row[k] = (row[k] * factors[k] - sum) * weights[k];
        } else {
            GK_INDEPENDENT
            for (ptrdiff_t k = 0; k < keys; k++)
                row[k] = (row[k] - sum) * weights[k];
        }
        if (seen) {
            const REAL factor = *seen++;
            GK_INDEPENDENT
            for (ptrdiff_t k = 0; k < keys; k++)
                row[k] = row[k] * factor;
        }
    }
}
#endif
