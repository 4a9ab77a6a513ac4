/* Rows added at ids, in the order of the ids: total[ids[i]] += rows[i]. Ids out of range are skipped. */

#ifndef REAL
#include "kernels.h"

static const char *gk_check_add_rows(const gk_array *a)
{
    if (a[0].ndim != 2 || a[2].ndim != 2 || a[0].shape[1] != a[2].shape[1])
        return "rows do not fit the total";
    return a[1].size != a[2].shape[0] ? "needs an id for each row" : NULL;
}

#define SOURCE "add_rows.c"
#include "each_real.h"

const gk_kernel gk_add_rows = {"add_rows", "total! ids:q rows", gk_check_add_rows, add_rows_float, add_rows_double};
#else

GK_INLINE void NAME(add_rows_of)(const gk_array *a, ptrdiff_t width)
{
    const uint64_t size = (uint64_t)a[0].shape[0];
    const int64_t *ids = a[1].data;
    for (ptrdiff_t i = 0; i < a[1].size; i++) {
        const uint64_t id = (uint64_t)ids[i];
        if (id >= size)
            continue;
        const REAL *row = (const REAL *)a[2].data + i * width;
        REAL *sum = (REAL *)a[0].data + (ptrdiff_t)id * width;
        GK_SHORT
        for (ptrdiff_t j = 0; j < width; j++)
            sum[j] = sum[j] + row[j];
    }
}

GK_CLONES static void NAME(add_rows)(const gk_array *a)
{
    switch (a[0].shape[1]) { /* common widths, whose loops are unrolled */
    case 16: NAME(add_rows_of)(a, 16); break;
    case 32: NAME(add_rows_of)(a, 32); break;
    case 64: NAME(add_rows_of)(a, 64); break;
    default: NAME(add_rows_of)(a, a[0].shape[1]); break;
    }
}
#endif
