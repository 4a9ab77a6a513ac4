/* Rows of the heads of attention, times a factor, as columns. */

#ifndef REAL
#include "kernels.h"

/* Rows that are read together: as many elements of a column are written at once. */
#define GK_ROWS 16

static const char *gk_check_scaled_columns(const gk_array *a)
{
    if (a[0].ndim != 5 || a[2].ndim != 4)
        return "needs rows (samples, groups, heads, rows, size) and columns (samples, groups, size, columns)";
    const ptrdiff_t *x = a[0].shape, *y = a[2].shape;
    return x[0] != y[0] || x[1] != y[1] || x[4] != y[2] || x[2] * x[3] != y[3] ? "rows and columns differ in number or size"
                                                                              : NULL;
}

#define SOURCE "scaled_columns.c"
#include "each_real.h"

const gk_kernel gk_scaled_columns = {
    "scaled_columns", "x~ factor()? out!", gk_check_scaled_columns, scaled_columns_float, scaled_columns_double,
};
#else

/* n rows, `row` bytes apart, whose elements are `step` bytes apart, as columns of `out`. */
GK_INLINE void NAME(gk_rows_as_columns)(const char *x, ptrdiff_t row, ptrdiff_t step, ptrdiff_t size, REAL factor, REAL *out,
                                        ptrdiff_t columns, ptrdiff_t n)
{
    for (ptrdiff_t s = 0; s < size; s++) {
        GK_SHORT
        for (ptrdiff_t j = 0; j < n; j++)
            out[s * columns + j] = *(const REAL *)(x + j * row + s * step) * factor;
    }
}

/* out = x factor; a factor of 1 changes no bit. */
GK_CLONES static void NAME(scaled_columns)(const gk_array *a)
{
    const ptrdiff_t *shape = a[0].shape, *strides = a[0].strides, rows = shape[3], columns = a[2].shape[3];
    const REAL factor = a[1].data ? *(const REAL *)a[1].data : 1;
    for (ptrdiff_t i = 0; i < shape[0] * shape[1] * shape[2]; i++) {
        const ptrdiff_t head = i % shape[2], block = i / shape[2], sample = block / shape[1], group = block % shape[1];
        const char *x = (const char *)a[0].data + sample * strides[0] + group * strides[1] + head * strides[2];
        REAL *out = (REAL *)a[2].data + block * shape[4] * columns + head * rows;
        ptrdiff_t t = 0;
        for (; t + GK_ROWS <= rows; t += GK_ROWS)
            NAME(gk_rows_as_columns)(x + t * strides[3], strides[3], strides[4], shape[4], factor, out + t, columns, GK_ROWS);
        NAME(gk_rows_as_columns)(x + t * strides[3], strides[3], strides[4], shape[4], factor, out + t, columns, rows - t);
    }
}
#endif
