/* Adam for a gradient of 0: u = b1 u, v = b2 v, p = p - rate u / (sqrt(v) + epsilon); of all weights, or of the rows at the
 * first `count` ids. Ids out of range are skipped. */

#ifndef REAL
#include "kernels.h"

static const char *gk_check_adam_idle(const gk_array *a)
{
    if (a[1].size != a[0].size || a[2].size != a[0].size || (a[3].data && a[3].size != a[0].size))
        return "weights and moments differ in size";
    if (!a[8].data)
        return NULL;
    return !a[9].data ? "needs the number of ids" : a[0].ndim != 2 ? "needs rows of weights" : NULL;
}

#define SOURCE "adam_idle.c"
#include "each_real.h"

const gk_kernel gk_adam_idle = {
    "adam_idle", "p! u! v! largest? rate() beta_1() beta_2() epsilon() ids:q? count:q()?", gk_check_adam_idle,
    adam_idle_float, adam_idle_double,
};
#else

GK_INLINE void NAME(adam_idle_range)(const gk_array *a, ptrdiff_t start, ptrdiff_t n)
{
    const REAL rate = *(REAL *)a[4].data, beta_1 = *(REAL *)a[5].data, beta_2 = *(REAL *)a[6].data;
    const REAL epsilon = *(REAL *)a[7].data;
    REAL *p = (REAL *)a[0].data + start, *u = (REAL *)a[1].data + start, *v = (REAL *)a[2].data + start;
    const REAL *largest = a[3].data ? (const REAL *)a[3].data + start : NULL;
    if (largest) {
        GK_INDEPENDENT
        for (ptrdiff_t i = 0; i < n; i++) {
            const REAL first = u[i] * beta_1;
            u[i] = first;
            v[i] = v[i] * beta_2;
            p[i] = p[i] - first / (SQRT(largest[i]) + epsilon) * rate;
        }
    } else {
        GK_INDEPENDENT
        for (ptrdiff_t i = 0; i < n; i++) {
            const REAL first = u[i] * beta_1, second = v[i] * beta_2;
            u[i] = first;
            v[i] = second;
            p[i] = p[i] - first / (SQRT(second) + epsilon) * rate;
        }
    }
}

GK_CLONES static void NAME(adam_idle)(const gk_array *a)
{
    if (!a[8].data) {
        NAME(adam_idle_range)(a, 0, a[0].size);
        return;
    }
    const ptrdiff_t width = a[0].shape[1];
    const uint64_t rows = (uint64_t)a[0].shape[0];
    const int64_t *ids = a[8].data, count = *(int64_t *)a[9].data;
    for (ptrdiff_t k = 0; k < count && k < a[8].size; k++)
        if ((uint64_t)ids[k] < rows)
            NAME(adam_idle_range)(a, (ptrdiff_t)ids[k] * width, width);
}
#endif
