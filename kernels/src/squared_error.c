/* The squared error and its gradient. */

#ifndef REAL
#include "kernels.h"

static const char *gk_check_squared_error_gradient(const gk_array *a)
{
    return a[2].ndim != 2 || a[2].shape[0] != a[0].size ? "needs a gradient for each row of errors" : NULL;
}

#define SOURCE "squared_error.c"
#include "each_real.h"

const gk_kernel gk_squared_error = {
    "squared_error", "x= targets= error!= square!=", NULL, squared_error_float, squared_error_double,
};
const gk_kernel gk_squared_error_gradient = {
    "squared_error_gradient", "dy! scale() error!", gk_check_squared_error_gradient, squared_error_gradient_float,
    squared_error_gradient_double,
};
#else

/* error = x - targets; square = error^2. */
GK_CLONES static void NAME(squared_error)(const gk_array *a)
{
    const REAL *x = a[0].data, *targets = a[1].data;
    const ptrdiff_t count = a[0].size;
    REAL *error = a[2].data, *square = a[3].data;
    GK_INDEPENDENT
    for (ptrdiff_t i = 0; i < count; i++) {
        const REAL e = x[i] - targets[i];
        error[i] = e;
        square[i] = e * e;
    }
}

/* dy = dy scale, a number for each row; error = error dy. */
GK_CLONES static void NAME(squared_error_gradient)(const gk_array *a)
{
    const ptrdiff_t rows = a[2].shape[0], units = a[2].shape[1];
    const REAL scale = *(const REAL *)a[1].data;
    REAL *dy = a[0].data, *error = a[2].data;
    GK_INDEPENDENT
    for (ptrdiff_t r = 0; r < rows; r++)
        dy[r] = dy[r] * scale;
    if (units == 1) {
        GK_INDEPENDENT
        for (ptrdiff_t r = 0; r < rows; r++)
            error[r] = error[r] * dy[r];
        return;
    }
    for (ptrdiff_t r = 0; r < rows; r++) {
        REAL *row = error + r * units;
        const REAL factor = dy[r];
        GK_INDEPENDENT
        for (ptrdiff_t j = 0; j < units; j++)
            row[j] = row[j] * factor;
    }
}
#endif
