/* Normalization of rows, for LayerNormalization and RMSNormalization: what is beside the sums of the rows. */

#ifndef REAL
#include "kernels.h"

static const char *gk_check_rows(const gk_array *a, int matrix, int column, int other)
{
    return a[matrix].ndim != 2 || a[column].size != a[matrix].shape[0] || a[other].size != a[matrix].size
               ? "rows differ in number or size"
               : NULL;
}

static const char *gk_check_centre(const gk_array *a)
{
    return gk_check_rows(a, 0, 1, 2);
}

static const char *gk_check_normalize(const gk_array *a)
{
    if (a[2].data && a[2].size != a[0].size)
        return "rows differ in number or size";
    if (a[0].ndim == 2 && (a[4].size != a[0].shape[1] || (a[5].data && a[5].size != a[0].shape[1])))
        return "a vector does not fit the rows";
    return gk_check_rows(a, 0, 1, 3);
}

static const char *gk_check_normalize_gradient(const gk_array *a)
{
    const char *wrong = gk_check_rows(a, 0, 2, 1);
    return wrong ? wrong
           : a[4].size != a[2].size || (a[3].data && a[3].size != a[2].size) ? "numbers of the rows differ in number"
                                                                             : NULL;
}

#define SOURCE "normalize.c"
#include "each_real.h"

const gk_kernel gk_centre = {"centre", "x mean y!", gk_check_centre, centre_float, centre_double};
const gk_kernel gk_normalize = {
    "normalize", "x inverse normal!? y! scale bias?", gk_check_normalize, normalize_float, normalize_double,
};
const gk_kernel gk_normalize_gradient = {
    "normalize_gradient", "normal dy! projection mean? inverse", gk_check_normalize_gradient,
    normalize_gradient_float, normalize_gradient_double,
};
#else

/* y = x - mean. */
GK_CLONES static void NAME(centre)(const gk_array *a)
{
    const ptrdiff_t rows = a[0].shape[0], width = a[0].shape[1];
    for (ptrdiff_t r = 0; r < rows; r++) {
        const REAL *x = (const REAL *)a[0].data + r * width, m = ((const REAL *)a[1].data)[r];
        REAL *y = (REAL *)a[2].data + r * width;
        GK_INDEPENDENT
        for (ptrdiff_t j = 0; j < width; j++)
            y[j] = x[j] - m;
    }
}

/* normal = x inverse; y = normal scale + bias. x may be normal: then it is read once only. */
GK_CLONES static void NAME(normalize)(const gk_array *a)
{
    const ptrdiff_t rows = a[0].shape[0], width = a[0].shape[1];
    const REAL *inverse = a[1].data, *scale = a[4].data, *bias = a[5].data;
    for (ptrdiff_t r = 0; r < rows; r++) {
        const REAL *x = (const REAL *)a[0].data + r * width, f = inverse[r];
        REAL *y = (REAL *)a[3].data + r * width;
        if (a[2].data) {
            REAL *normal = (REAL *)a[2].data + r * width;
            GK_INDEPENDENT
            for (ptrdiff_t j = 0; j < width; j++)
                normal[j] = x[j] * f;
            if (bias) {
                GK_INDEPENDENT
                for (ptrdiff_t j = 0; j < width; j++)
                    y[j] = normal[j] * scale[j] + bias[j];
            } else {
                GK_INDEPENDENT
                for (ptrdiff_t j = 0; j < width; j++)
                    y[j] = normal[j] * scale[j];
            }
        } else if (bias) {
            GK_INDEPENDENT
            for (ptrdiff_t j = 0; j < width; j++)
                y[j] = x[j] * f * scale[j] + bias[j];
        } else {
            GK_INDEPENDENT
            for (ptrdiff_t j = 0; j < width; j++)
                y[j] = x[j] * f * scale[j];
        }
    }
}

/* dy = (dy - normal projection - mean) inverse. */
GK_CLONES static void NAME(normalize_gradient)(const gk_array *a)
{
    const ptrdiff_t rows = a[0].shape[0], width = a[0].shape[1];
    const REAL *projection = a[2].data, *mean = a[3].data, *inverse = a[4].data;
    for (ptrdiff_t r = 0; r < rows; r++) {
        const REAL *h = (const REAL *)a[0].data + r * width, p = projection[r], f = inverse[r];
        REAL *dy = (REAL *)a[1].data + r * width;
        if (mean) {
            const REAL m = mean[r];
            GK_INDEPENDENT
            for (ptrdiff_t j = 0; j < width; j++)
                dy[j] = (dy[j] - h[j] * p - m) * f;
        } else {
            GK_INDEPENDENT
            for (ptrdiff_t j = 0; j < width; j++)
                dy[j] = (dy[j] - h[j] * p) * f;
        }
    }
}
#endif
