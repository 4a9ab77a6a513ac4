/* The gates of a step of an LSTM that is written out, i, f, the candidate g and o, in one pass each way around NumPy's tanh. */

#ifndef REAL
#include "kernels.h"

gk_loop_of gk_tanh[2];

static ptrdiff_t width(const gk_array *u)
{
    return u->ndim == 2 ? u->shape[1] : -1;
}

static const char *gk_check_lstm_gates(const gk_array *a)
{
    const ptrdiff_t size = a[6].size;
    return width(&a[6]) < 0 || a[0].size != 4 * size || (a[1].data && a[1].size != 4 * size) || (a[2].data && a[2].size != size) ||
                   a[4].size != 4 * size || a[5].size != size || a[7].size != size
               ? "gates do not fit the state"
               : NULL;
}

static int serves_lstm_gates(const gk_array *a)
{
    return gk_tanh[a[0].item == sizeof(double)].function != NULL;
}

static const char *gk_check_lstm_gates_gradient(const gk_array *a)
{
    const ptrdiff_t size = a[1].size;
    if (width(&a[1]) < 0 || a[0].size != 4 * size || a[5].size != 4 * size || (a[6].data && a[6].size != 4 * size))
        return "gates do not fit the state";
    for (int k = 2; k < 8; k++)
        if (k != 5 && k != 6 && a[k].data && a[k].size != size)
            return "states differ in size";
    return a[3].data || a[4].data ? NULL : "needs a gradient";
}

#define SOURCE "lstm_gates.c"
#include "each_real.h"

const gk_kernel gk_lstm_gates = {
    "lstm_gates", "x y? before? half() gates! c! u! h!", gk_check_lstm_gates, lstm_gates_float, lstm_gates_double,
    serves_lstm_gates,
};
const gk_kernel gk_lstm_gates_gradient = {
    "lstm_gates_gradient", "gates u before? dh? dc? dx! dy!? dbefore!?", gk_check_lstm_gates_gradient,
    lstm_gates_gradient_float, lstm_gates_gradient_double,
};
#else

static void NAME(tanh_of)(const REAL *x, REAL *y, ptrdiff_t count)
{
    char *arrays[] = {(char *)x, (char *)y};
    const ptrdiff_t strides[] = {sizeof(REAL), sizeof(REAL)};
    const gk_loop_of *loop = &gk_tanh[sizeof(REAL) == sizeof(double)];
    loop->function(arrays, &count, strides, loop->data);
}

/* One gate of some rows side by side: x + y, of a sigmoid halved. */
GK_CLONES static void NAME(argument)(const REAL *x, const REAL *y, REAL half, REAL *gate, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t stride)
{
    for (ptrdiff_t r = 0; r < rows; r++, x += stride, gate += n) {
        if (y) {
            GK_INDEPENDENT
            for (ptrdiff_t k = 0; k < n; k++)
                gate[k] = (x[k] + y[k]) * half;
            y += stride;
        } else {
            GK_INDEPENDENT
            for (ptrdiff_t k = 0; k < n; k++)
                gate[k] = x[k] * half;
        }
    }
}

/* The sigmoids of tanh, and c = i g (+ f c'). */
GK_CLONES static void NAME(remember)(REAL *i, REAL *f, const REAL *g, REAL *o, const REAL *before, REAL half, REAL *c, ptrdiff_t n)
{
    if (before) {
        GK_INDEPENDENT
        for (ptrdiff_t k = 0; k < n; k++) {
            const REAL in = i[k] * half + half, forget = f[k] * half + half;
            i[k] = in;
            f[k] = forget;
            o[k] = o[k] * half + half;
            c[k] = in * g[k] + forget * before[k];
        }
    } else {
        GK_INDEPENDENT
        for (ptrdiff_t k = 0; k < n; k++) {
            const REAL in = i[k] * half + half;
            i[k] = in;
            f[k] = f[k] * half + half;
            o[k] = o[k] * half + half;
            c[k] = in * g[k];
        }
    }
}

GK_CLONES static void NAME(product)(const REAL *o, const REAL *u, REAL *h, ptrdiff_t n)
{
    GK_INDEPENDENT
    for (ptrdiff_t k = 0; k < n; k++)
        h[k] = o[k] * u[k];
}

/* Tiles of whole rows, or of parts of a long row. */
static void NAME(lstm_gates)(const gk_array *a)
{
    const ptrdiff_t n = a[6].shape[1], rows = a[6].shape[0], size = rows * n;
    const ptrdiff_t together = n < GK_TILE ? GK_TILE / (n ? n : 1) : 1, most = GK_MIN(n, GK_TILE);
    const REAL *x = a[0].data, *y = a[1].data, *before = a[2].data, half = *(const REAL *)a[3].data;
    REAL *gates = a[4].data, *c = a[5].data, *u = a[6].data, *h = a[7].data;
    for (ptrdiff_t row = 0; row < rows; row += together)
        for (ptrdiff_t first = 0; first < n; first += most) {
            const ptrdiff_t count = GK_MIN(together, rows - row), length = GK_MIN(most, n - first);
            const ptrdiff_t at = row * n + first, all = count * length;
            REAL *part[4];
            for (int gate = 0; gate < 4; gate++) {
                const ptrdiff_t source = (4 * row + gate) * n + first;
                part[gate] = gates + gate * size + at;
                NAME(argument)(x + source, y ? y + source : NULL, gate == 2 ? 1 : half, part[gate], count, length, 4 * n);
                NAME(tanh_of)(part[gate], part[gate], all);
            }
            NAME(remember)(part[0], part[1], part[2], part[3], before ? before + at : NULL, half, c + at, all);
            NAME(tanh_of)(c + at, u + at, all);
            NAME(product)(part[3], u + at, h + at, all);
        }
}

#define OF_SIGMOID(gate) ((gate) - (gate) * (gate))

/* s = dh o (1 - u^2) + dc; the gradients of the gates' arguments, and that of the state before, s f. */
GK_CLONES static void NAME(lstm_gates_gradient)(const gk_array *a)
{
    const ptrdiff_t n = a[1].shape[1], rows = a[1].shape[0], size = rows * n;
    for (ptrdiff_t row = 0; row < rows; row++) {
        const REAL *i = (const REAL *)a[0].data + row * n, *f = i + size, *g = f + size, *o = g + size;
        const REAL *u = (const REAL *)a[1].data + row * n;
        const REAL *before = a[2].data ? (const REAL *)a[2].data + row * n : NULL;
        const REAL *dh = a[3].data ? (const REAL *)a[3].data + row * n : NULL;
        const REAL *dc = a[4].data ? (const REAL *)a[4].data + row * n : NULL;
        REAL *di = (REAL *)a[5].data + 4 * row * n, *df = di + n, *dg = df + n, *d_o = dg + n;
        REAL *dy = a[6].data ? (REAL *)a[6].data + 4 * row * n : NULL;
        REAL *old = a[7].data ? (REAL *)a[7].data + row * n : NULL;
        for (ptrdiff_t first = 0; first < n; first += GK_TILE / 4) {
            REAL s[GK_TILE / 4];
            const ptrdiff_t stop = GK_MIN(n, first + GK_TILE / 4);
            if (dh) {
                GK_INDEPENDENT
                for (ptrdiff_t k = first; k < stop; k++) {
                    s[k - first] = (1 - u[k] * u[k]) * o[k] * dh[k];
                    d_o[k] = OF_SIGMOID(o[k]) * u[k] * dh[k];
                }
                if (dc) {
                    GK_INDEPENDENT
                    for (ptrdiff_t k = first; k < stop; k++)
                        s[k - first] = s[k - first] + dc[k];
                }
            } else {
                GK_INDEPENDENT
                for (ptrdiff_t k = first; k < stop; k++) {
                    s[k - first] = dc[k];
                    d_o[k] = 0;
                }
            }
            GK_INDEPENDENT
            for (ptrdiff_t k = first; k < stop; k++) {
                di[k] = OF_SIGMOID(i[k]) * g[k] * s[k - first];
                dg[k] = (1 - g[k] * g[k]) * i[k] * s[k - first];
            }
            if (before) {
                GK_INDEPENDENT
                for (ptrdiff_t k = first; k < stop; k++)
                    df[k] = OF_SIGMOID(f[k]) * before[k] * s[k - first];
            } else {
                GK_INDEPENDENT
                for (ptrdiff_t k = first; k < stop; k++)
                    df[k] = 0;
            }
            if (old) {
                GK_INDEPENDENT
                for (ptrdiff_t k = first; k < stop; k++)
                    old[k] = s[k - first] * f[k];
            }
        }
        if (dy) {
            GK_INDEPENDENT
            for (ptrdiff_t k = 0; k < 4 * n; k++)
                dy[k] = di[k];
        }
    }
}
#undef OF_SIGMOID
#endif
