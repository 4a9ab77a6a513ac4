/* The sum of a table's rows at several ids, and its gradient. Ids out of range are skipped. */

#ifndef REAL
#include "kernels.h"

static const char *gk_check_gather_sum(const gk_array *a)
{
    if (a[0].ndim != 2 || a[1].ndim != 2 || a[2].ndim != 2 || a[1].shape[1] != a[2].shape[1])
        return "the table does not fit the sums";
    return a[0].shape[0] != a[2].shape[0] ? "needs ids for each sum" : NULL;
}

#define SOURCE "gather_sum.c"
#include "each_real.h"

const gk_kernel gk_gather_sum = {
    "gather_sum", "ids:q table sums!", gk_check_gather_sum, gather_sum_float, gather_sum_double,
};
const gk_kernel gk_gather_sum_gradient = {
    "gather_sum_gradient", "ids:q total! rows", gk_check_gather_sum, gather_sum_gradient_float, gather_sum_gradient_double,
};
#else

/* `n` columns of a sum, which stay in registers: 0 + the rows in the order of the ids. */
GK_INLINE void NAME(gather_sum_columns)(const gk_array *a, ptrdiff_t i, ptrdiff_t from, ptrdiff_t n)
{
    const ptrdiff_t times = a[0].shape[1], width = a[1].shape[1];
    const uint64_t size = (uint64_t)a[1].shape[0];
    const int64_t *ids = (const int64_t *)a[0].data + i * times;
    const REAL *table = (const REAL *)a[1].data + from;
    REAL *sums = (REAL *)a[2].data + i * width + from;
    REAL sum[32];
    GK_SHORT
    for (ptrdiff_t j = 0; j < n; j++)
        sum[j] = 0;
    for (ptrdiff_t k = 0; k < times; k++) {
        const uint64_t id = (uint64_t)ids[k];
        if (id >= size)
            continue;
        const REAL *row = table + (ptrdiff_t)id * width;
        GK_SHORT
        for (ptrdiff_t j = 0; j < n; j++)
            sum[j] = sum[j] + row[j];
    }
    GK_SHORT
    for (ptrdiff_t j = 0; j < n; j++)
        sums[j] = sum[j];
}

GK_CLONES static void NAME(gather_sum)(const gk_array *a)
{
    const ptrdiff_t width = a[1].shape[1];
    for (ptrdiff_t i = 0; i < a[2].shape[0]; i++) {
        ptrdiff_t from = 0;
        for (; from + 32 <= width; from += 32)
            NAME(gather_sum_columns)(a, i, from, 32);
        for (; from + 16 <= width; from += 16)
            NAME(gather_sum_columns)(a, i, from, 16);
        for (; from + 8 <= width; from += 8)
            NAME(gather_sum_columns)(a, i, from, 8);
        if (from < width)
            NAME(gather_sum_columns)(a, i, from, width - from);
    }
}

/* total = 0; total[ids[i, k]] += rows[i]. */
GK_INLINE void NAME(gather_sum_gradient_of)(const gk_array *a, ptrdiff_t width)
{
    const ptrdiff_t times = a[0].shape[1], all = a[1].size;
    const uint64_t size = (uint64_t)a[1].shape[0];
    const int64_t *ids = a[0].data;
    REAL *total = a[1].data;
    for (ptrdiff_t j = 0; j < all; j++)
        total[j] = 0;
    for (ptrdiff_t i = 0; i < a[2].shape[0]; i++) {
        const REAL *row = (const REAL *)a[2].data + i * width;
        for (ptrdiff_t k = 0; k < times; k++) {
            const uint64_t id = (uint64_t)*ids++;
            if (id >= size)
                continue;
            REAL *sum = total + (ptrdiff_t)id * width;
            GK_SHORT
            for (ptrdiff_t j = 0; j < width; j++)
                sum[j] = sum[j] + row[j];
        }
    }
}

GK_CLONES static void NAME(gather_sum_gradient)(const gk_array *a)
{
    switch (a[1].shape[1]) { /* common widths, whose loops are unrolled */
    case 16: NAME(gather_sum_gradient_of)(a, 16); break;
    case 32: NAME(gather_sum_gradient_of)(a, 32); break;
    case 64: NAME(gather_sum_gradient_of)(a, 64); break;
    default: NAME(gather_sum_gradient_of)(a, a[1].shape[1]); break;
    }
}
#endif
