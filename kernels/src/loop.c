/* A loop of a ufunc of NumPy with one input, such as exp: `bind_loop` puts its address and data behind the operands. */

#ifndef REAL
#include "kernels.h"

#define SOURCE "loop.c"
#include "each_real.h"

const gk_kernel gk_loop = {"loop", "x= y!=", NULL, loop_float, loop_double, NULL};
#else

static void NAME(loop)(const gk_array *a)
{
    char *arrays[] = {a[0].data, a[1].data};
    const ptrdiff_t count = a[0].size, strides[] = {sizeof(REAL), sizeof(REAL)};
    ((void (*)(char **, const ptrdiff_t *, const ptrdiff_t *, void *))a[2].data)(arrays, &count, strides, a[3].data);
}
#endif
