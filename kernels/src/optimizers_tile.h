/* The start of an update, for one type: included by the second pass of each optimizer's file. */

/* Shrink n weights from `start`, and return their gradient: of one worker, or with another's added into `sum`. */
GK_INLINE const REAL *NAME(gk_begin)(const gk_array *a, ptrdiff_t start, ptrdiff_t n, REAL *sum)
{
    REAL *p = (REAL *)a[0].data + start;
    const REAL *g = (const REAL *)a[1].data + start;
    if (a[3].data) {
        const REAL shrink = *(const REAL *)a[3].data;
        GK_INDEPENDENT
        for (ptrdiff_t i = 0; i < n; i++)
            p[i] = p[i] * shrink;
    }
    if (!a[2].data)
        return g;
    const REAL *other = (const REAL *)a[2].data + start;
    GK_INDEPENDENT
    for (ptrdiff_t i = 0; i < n; i++)
        sum[i] = g[i] + other[i];
    return sum;
}
