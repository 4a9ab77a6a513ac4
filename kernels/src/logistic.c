/* The sigmoid around NumPy's exp, its binary cross-entropy, and the gradients of sigmoid and tanh. */

#ifndef REAL
#include "kernels.h"
#define SOURCE "logistic.c"
#include "each_real.h"

const gk_kernel gk_logistic_argument = {
    "logistic_argument", "x= most() y!=", NULL, logistic_argument_float, logistic_argument_double,
};
const gk_kernel gk_logistic = {"logistic", "y!=", NULL, logistic_float, logistic_double};
const gk_kernel gk_logistic_gradient = {
    "logistic_gradient", "y= dy!=", NULL, logistic_gradient_float, logistic_gradient_double,
};
const gk_kernel gk_tanh_gradient = {"tanh_gradient", "y= dy!=", NULL, tanh_gradient_float, tanh_gradient_double};
const gk_kernel gk_binary_terms = {
    "binary_terms", "x= targets= y!= exponent!=", NULL, binary_terms_float, binary_terms_double,
};
const gk_kernel gk_binary_gradient = {
    "binary_gradient", "t= targets= dy!=", NULL, binary_gradient_float, binary_gradient_double,
};
#else

/* y = min(-x, most). */
GK_CLONES static void NAME(logistic_argument)(const gk_array *a)
{
    const REAL *x = a[0].data, most = *(const REAL *)a[1].data;
    const ptrdiff_t count = a[0].size;
    REAL *y = a[2].data;
    GK_INDEPENDENT
    for (ptrdiff_t i = 0; i < count; i++)
        y[i] = -x[i] > most ? most : -x[i];
}

/* y = 1 / (y + 1), of an exponential. */
GK_CLONES static void NAME(logistic)(const gk_array *a)
{
    const ptrdiff_t count = a[0].size;
    REAL *y = a[0].data;
    GK_INDEPENDENT
    for (ptrdiff_t i = 0; i < count; i++)
        y[i] = 1 / (y[i] + 1);
}

/* dy = dy (y - y^2). */
GK_CLONES static void NAME(logistic_gradient)(const gk_array *a)
{
    const REAL *y = a[0].data;
    const ptrdiff_t count = a[0].size;
    REAL *dy = a[1].data;
    GK_INDEPENDENT
    for (ptrdiff_t i = 0; i < count; i++)
        dy[i] = dy[i] * (y[i] - y[i] * y[i]);
}

/* dy = dy (1 - y^2). */
GK_CLONES static void NAME(tanh_gradient)(const gk_array *a)
{
    const REAL *y = a[0].data;
    const ptrdiff_t count = a[0].size;
    REAL *dy = a[1].data;
    GK_INDEPENDENT
    for (ptrdiff_t i = 0; i < count; i++)
        dy[i] = dy[i] * (1 - y[i] * y[i]);
}

/* y = max(x, 0) - x targets; exponent = -|x|, x with its sign bit set. */
GK_CLONES static void NAME(binary_terms)(const gk_array *a)
{
    const REAL *x = a[0].data, *targets = a[1].data;
    const BITS *bits = a[0].data, sign = (BITS)1 << (sizeof(BITS) * 8 - 1);
    const ptrdiff_t count = a[0].size;
    REAL *y = a[2].data;
    BITS *exponent = a[3].data;
    GK_INDEPENDENT
    for (ptrdiff_t i = 0; i < count; i++) {
        const REAL value = x[i], positive = value <= 0 ? 0 : value;
        const BITS negative = bits[i] | sign;
        y[i] = positive - value * targets[i];
        exponent[i] = negative;
    }
}

/* dy = dy (1 / (t + 1) - targets), of t = exp(-x). */
GK_CLONES static void NAME(binary_gradient)(const gk_array *a)
{
    const REAL *t = a[0].data, *targets = a[1].data;
    const ptrdiff_t count = a[0].size;
    REAL *dy = a[2].data;
    GK_INDEPENDENT
    for (ptrdiff_t i = 0; i < count; i++)
        dy[i] = dy[i] * (1 / (t[i] + 1) - targets[i]);
}
#endif
