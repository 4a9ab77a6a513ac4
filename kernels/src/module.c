/* The module _core: calls, each a kernel bound to the memory of its operands. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <string.h>

#include "kernels.h"

#define GK_KERNEL(name) extern const gk_kernel gk_##name;
#include "list.h"
#undef GK_KERNEL

static const gk_kernel *const kernels[] = {
#define GK_KERNEL(name) &gk_##name,
#include "list.h"
#undef GK_KERNEL
};

#define COUNT ((Py_ssize_t)(sizeof(kernels) / sizeof(kernels[0])))
#define MOST 24           /* operands of a kernel */
#define LONG (1 << 17)    /* bytes of operands from which other threads may run during a call */

/* The marks of an operand, and where the next one starts. */
typedef struct {
    const char *name;
    int length, writes, optional, single, any_order, strided;
    char type;
} Mark;

static const char *next_mark(const char *text, Mark *mark)
{
    while (*text == ' ')
        text++;
    if (!*text)
        return NULL;
    memset(mark, 0, sizeof(*mark));
    mark->name = text;
    while (*text && !strchr(" !?()=~:", *text))
        text++;
    mark->length = (int)(text - mark->name);
    for (; *text && *text != ' '; text++) {
        if (*text == '!')
            mark->writes = 1;
        else if (*text == '?')
            mark->optional = 1;
        else if (*text == '(')
            mark->single = 1;
        else if (*text == '=')
            mark->any_order = 1;
        else if (*text == '~')
            mark->strided = 1;
        else if (*text == ':' && text[1])
            mark->type = *++text;
    }
    return text;
}

/* Call */

typedef struct {
    PyObject_HEAD
    const gk_kernel *kernel;
    gk_run run;
    int count, is_long;
    gk_array arrays[MOST];
    Py_buffer views[MOST];
    char writes[MOST];
} Call;

static void Call_dealloc(Call *self)
{
    PyTypeObject *type = Py_TYPE((PyObject *)self);
    for (int k = 0; k < self->count; k++)
        if (self->views[k].obj)
            PyBuffer_Release(&self->views[k]);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

static PyObject *Call_call(Call *self, PyObject *args, PyObject *named)
{
    if (PyTuple_Size(args) || (named && PyDict_Size(named))) {
        PyErr_SetString(PyExc_TypeError, "a bound kernel takes no arguments");
        return NULL;
    }
    if (self->is_long) {
        Py_BEGIN_ALLOW_THREADS
        self->run(self->arrays);
        Py_END_ALLOW_THREADS
    } else {
        self->run(self->arrays);
    }
    Py_RETURN_NONE;
}

static PyObject *Call_name(Call *self, void *closure)
{
    (void)closure;
    return PyUnicode_FromString(self->kernel->name);
}

static PyObject *Call_operands(Call *self, void *closure)
{
    (void)closure;
    PyObject *result = PyTuple_New(self->count);
    for (int k = 0; result && k < self->count; k++) {
        PyObject *operand = self->views[k].obj ? self->views[k].obj : Py_None;
        Py_INCREF(operand);
        if (PyTuple_SetItem(result, k, operand) < 0)
            Py_CLEAR(result);
    }
    return result;
}

/* The lowest address of an operand and the end of its memory. */
static void bounds(const Py_buffer *view, uintptr_t *first, uintptr_t *end)
{
    uintptr_t low = (uintptr_t)view->buf, high = low + (uintptr_t)view->itemsize;
    for (int k = 0; k < view->ndim; k++) {
        if (view->shape[k] == 0) {
            *first = *end = low;
            return;
        }
        const Py_ssize_t reach = (view->shape[k] - 1) * view->strides[k];
        if (reach < 0)
            low -= (uintptr_t)-reach;
        else
            high += (uintptr_t)reach;
    }
    *first = low;
    *end = high;
}

static PyObject *Call_uses(Call *self, PyObject *unused)
{
    (void)unused;
    PyObject *result = PyList_New(0);
    for (int k = 0; result && k < self->count; k++) {
        if (!self->views[k].obj)
            continue;
        uintptr_t first, end;
        bounds(&self->views[k], &first, &end);
        PyObject *use = Py_BuildValue("(KKO)", (unsigned long long)first, (unsigned long long)end,
                                      self->writes[k] ? Py_True : Py_False);
        if (!use || PyList_Append(result, use) < 0)
            Py_CLEAR(result);
        Py_XDECREF(use);
    }
    return result;
}

static PyMethodDef Call_methods[] = {
    {"uses", (PyCFunction)(void (*)(void))Call_uses, METH_NOARGS,
     "Return the memory of each operand: its first address, its end, and whether the call writes to it."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef Call_attributes[] = {
    {"__name__", (getter)(void (*)(void))Call_name, NULL, "The kernel.", NULL},
    {"operands", (getter)(void (*)(void))Call_operands, NULL, "The operands; None where one is absent.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot Call_slots[] = {
    {Py_tp_doc, "A kernel and its operands; a call without arguments runs it. It keeps its arrays alive."},
    {Py_tp_dealloc, (void *)Call_dealloc},
    {Py_tp_call, (void *)Call_call},
    {Py_tp_methods, Call_methods},
    {Py_tp_getset, Call_attributes},
    {0, NULL},
};

static PyType_Spec Call_spec = {
    "graphspec_kernels.Call",
    sizeof(Call),
    0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    Call_slots,
};

/* Sequence */

typedef struct {
    PyTypeObject *call, *sequence, *rows;
} State;

/* A step is a bound kernel, or a function of Python with its operands. */
typedef struct {
    const Call *kernel;
    PyObject *function, *operands;
} Step;

typedef struct {
    PyObject_HEAD
    PyObject *steps; /* keeps what the array refers to: a tuple of pairs of a function and a tuple of operands */
    Step *array;
    Py_ssize_t count;
} Sequence;

static int Sequence_traverse(Sequence *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE((PyObject *)self));
    Py_VISIT(self->steps);
    return 0;
}

static int Sequence_clear(Sequence *self)
{
    self->count = 0;
    Py_CLEAR(self->steps);
    return 0;
}

static void Sequence_dealloc(Sequence *self)
{
    PyTypeObject *type = Py_TYPE((PyObject *)self);
    PyObject_GC_UnTrack(self);
    Sequence_clear(self);
    PyMem_Free(self->array);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

/* The kernels from `first` to the next function of Python, which is returned; in a long run other threads may run, too. */
static Py_ssize_t run_kernels(const Sequence *self, Py_ssize_t first)
{
    Py_ssize_t stop = first;
    int is_long = 0;
    for (; stop < self->count && self->array[stop].kernel; stop++)
        is_long |= self->array[stop].kernel->is_long;
    PyThreadState *state = is_long ? PyEval_SaveThread() : NULL;
    for (Py_ssize_t k = first; k < stop; k++)
        self->array[k].kernel->run(self->array[k].kernel->arrays);
    if (is_long)
        PyEval_RestoreThread(state);
    return stop;
}

static PyObject *Sequence_call(Sequence *self, PyObject *args, PyObject *named)
{
    if (PyTuple_Size(args) || (named && PyDict_Size(named))) {
        PyErr_SetString(PyExc_TypeError, "a sequence takes no arguments");
        return NULL;
    }
    for (Py_ssize_t k = 0; k < self->count;) {
        const Step *step = &self->array[k];
        if (step->kernel) {
            k = run_kernels(self, k);
            continue;
        }
        PyObject *result = PyObject_Call(step->function, step->operands, NULL);
        if (!result)
            return NULL;
        Py_DECREF(result);
        k++;
    }
    Py_RETURN_NONE;
}

static PyObject *Sequence_steps(Sequence *self, void *closure)
{
    (void)closure;
    PyObject *steps = self->steps ? self->steps : Py_None;
    Py_INCREF(steps);
    return steps;
}

static PyGetSetDef Sequence_attributes[] = {
    {"steps", (getter)Sequence_steps, NULL, "The calls: pairs of a function and its operands.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot Sequence_slots[] = {
    {Py_tp_doc, "Calls in a row; a call without arguments makes them all."},
    {Py_tp_dealloc, (void *)Sequence_dealloc},
    {Py_tp_traverse, (void *)Sequence_traverse},
    {Py_tp_clear, (void *)Sequence_clear},
    {Py_tp_call, (void *)Sequence_call},
    {Py_tp_getset, Sequence_attributes},
    {0, NULL},
};

static PyType_Spec Sequence_spec = {
    "graphspec_kernels.Sequence",
    sizeof(Sequence),
    0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    Sequence_slots,
};

/* A sequence of pairs (function, tuple of operands). */
static PyObject *sequence(PyObject *module, PyObject *pairs)
{
    const State *state = PyModule_GetState(module);
    PyObject *steps = PySequence_Tuple(pairs);
    if (!steps)
        return NULL;
    Sequence *self = (Sequence *)((allocfunc)PyType_GetSlot(state->sequence, Py_tp_alloc))(state->sequence, 0);
    if (!self) {
        Py_DECREF(steps);
        return NULL;
    }
    self->steps = steps;
    self->count = PyTuple_Size(steps);
    self->array = PyMem_Malloc((size_t)(self->count + 1) * sizeof(Step));
    if (!self->array) {
        self->count = 0;
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    for (Py_ssize_t k = 0; k < self->count; k++) {
        PyObject *pair = PyTuple_GetItem(steps, k), *function = NULL, *operands = NULL;
        if (!PyTuple_Check(pair) || PyTuple_Size(pair) != 2 || !PyTuple_Check(operands = PyTuple_GetItem(pair, 1))) {
            self->count = 0;
            Py_DECREF(self);
            PyErr_SetString(PyExc_TypeError, "a step is a pair of a function and a tuple of operands");
            return NULL;
        }
        function = PyTuple_GetItem(pair, 0);
        const int is_kernel = Py_TYPE(function) == state->call && PyTuple_Size(operands) == 0;
        self->array[k] = (Step){is_kernel ? (const Call *)function : NULL, function, operands};
    }
    return (PyObject *)self;
}

/* use_blas */

static gk_blas library;

/* The address of a function of each type, as an integer. */
static int addresses(PyObject *pair, void **functions)
{
    for (int k = 0; k < 2; k++) {
        PyObject *item = PySequence_GetItem(pair, k);
        functions[k] = item ? PyLong_AsVoidPtr(item) : NULL;
        Py_XDECREF(item);
        if (!functions[k]) {
            if (!PyErr_Occurred())
                PyErr_SetString(PyExc_ValueError, "a function of BLAS has no address");
            return -1;
        }
    }
    return 0;
}

static PyObject *use_blas(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    gk_blas found = {0};
    if (count != 0 && count != 4) {
        PyErr_SetString(PyExc_TypeError, "use_blas needs whether integers are wide, and gemm, gemv and dot for floats and doubles");
        return NULL;
    }
    gk_library = NULL;
    if (count == 0)
        Py_RETURN_NONE;
    found.wide = PyObject_IsTrue(args[0]);
    if (found.wide < 0 || addresses(args[1], found.gemm) || addresses(args[2], found.gemv) || addresses(args[3], found.dot))
        return NULL;
    library = found;
    gk_library = &library;
    Py_RETURN_NONE;
}

static PyObject *use_tanh(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    void *found[4] = {0};
    if (count != 0 && count != 4) {
        PyErr_SetString(PyExc_TypeError, "use_tanh needs the addresses of a loop and its data for floats, then for doubles");
        return NULL;
    }
    for (Py_ssize_t k = 0; k < count; k++) {
        found[k] = PyLong_AsVoidPtr(args[k]);
        if (PyErr_Occurred())
            return NULL;
    }
    for (int k = 0; k < 2; k++) {
        memcpy(&gk_tanh[k].function, &found[2 * k], sizeof(void *));
        gk_tanh[k].data = found[2 * k + 1];
    }
    Py_RETURN_NONE;
}

/* bind */

static int same_order(const Py_buffer *a, const Py_buffer *b)
{
    if (a->ndim != b->ndim)
        return 0;
    for (int k = 0; k < a->ndim; k++)
        if (a->shape[k] != b->shape[k] || (a->shape[k] > 1 && a->strides[k] != b->strides[k]))
            return 0;
    return 1;
}

/* Whether the elements fill their memory without gaps, each once. */
static int dense(const Py_buffer *view)
{
    Py_ssize_t expected = view->itemsize;
    char done[64] = {0};
    if (view->ndim > 64)
        return 0;
    for (int round = 0; round < view->ndim; round++) {
        int found = -1;
        for (int k = 0; k < view->ndim; k++) {
            if (view->shape[k] == 0)
                return 1;
            if (!done[k] && (view->shape[k] == 1 || view->strides[k] == expected))
                found = k;
        }
        if (found < 0)
            return 0;
        done[found] = 1;
        expected *= view->shape[found];
    }
    return 1;
}

static char type_of(const Py_buffer *view)
{
    const char *format = view->format ? view->format : "B";
    return strlen(format) == 1 ? *format : 0;
}

/* Whether the type is the one of a mark. NumPy calls one of its integer types `l`, which has 4 or 8 bytes. */
static int has_type(const Py_buffer *view, char type)
{
    const char found = type_of(view);
    return found == type || (found == 'l' && ((type == 'i' && view->itemsize == 4) || (type == 'q' && view->itemsize == 8)));
}

/* Whether an operand that is written overlaps another one other than element by element. */
static int collides(const Call *self)
{
    for (int k = 0; k < self->count; k++) {
        if (!self->views[k].obj || !self->writes[k])
            continue;
        uintptr_t first, end;
        bounds(&self->views[k], &first, &end);
        for (int j = 0; j < self->count; j++) {
            if (j == k || !self->views[j].obj)
                continue;
            uintptr_t low, high;
            bounds(&self->views[j], &low, &high);
            const int in_place = low == first && high == end && same_order(&self->views[k], &self->views[j]);
            if (low < end && first < high && !(in_place && !self->writes[j]))
                return 1;
        }
    }
    return 0;
}

/* Fill in the operands: 1 if the kernel serves them, 0 if not, -1 with an exception. */
static int fill(Call *self, PyObject *const *operands, Py_ssize_t given)
{
    const gk_kernel *kernel = self->kernel;
    const char *text = kernel->operands;
    Mark mark;
    char type = 0;
    Py_ssize_t bytes = 0;
    int fits = 1, model = -1;
    while ((text = next_mark(text, &mark))) {
        const int k = self->count;
        if (k >= given)
            break;
        self->count++;
        if (operands[k] == Py_None) {
            if (mark.optional)
                continue;
            PyErr_Format(PyExc_TypeError, "%s: operand %d is missing", kernel->name, k);
            return -1;
        }
        Py_buffer *view = &self->views[k];
        if (PyObject_GetBuffer(operands[k], view, PyBUF_STRIDES | PyBUF_FORMAT | (mark.writes ? PyBUF_WRITABLE : 0)) < 0) {
            view->obj = NULL;
            return -1;
        }
        self->writes[k] = (char)mark.writes;
        Py_ssize_t size = 1;
        for (int axis = 0; axis < view->ndim; axis++)
            size *= view->shape[axis];
        self->arrays[k] = (gk_array){view->buf, size, view->ndim, view->shape, view->strides, view->itemsize};
        bytes += size * view->itemsize;
        if (mark.single && size != 1) {
            PyErr_Format(PyExc_ValueError, "%s: operand %d must have one element, has %zd", kernel->name, k, size);
            return -1;
        }
        const char found = type_of(view);
        if (mark.type) {
            fits &= has_type(view, mark.type);
        } else {
            type = type ? type : found;
            fits &= found == type && (found == 'f' || found == 'd');
        }
        if (mark.any_order) {
            fits &= model < 0 ? dense(view) : same_order(view, &self->views[model]);
            model = model < 0 ? k : model;
        } else if (!mark.strided) {
            fits &= PyBuffer_IsContiguous(view, 'C');
        }
    }
    if (text || self->count != given) {
        PyErr_Format(PyExc_TypeError, "%s has other operands: %s", kernel->name, kernel->operands);
        return -1;
    }
    if (!fits || collides(self) || (kernel->serves && !kernel->serves(self->arrays)))
        return 0;
    const char *wrong = kernel->check ? kernel->check(self->arrays) : NULL;
    if (wrong) {
        PyErr_Format(PyExc_ValueError, "%s: %s", kernel->name, wrong);
        return -1;
    }
    self->run = type == 'd' ? kernel->doubles : kernel->floats;
    self->is_long = bytes >= LONG;
    return 1;
}

/* A kernel bound to operands; None if it does not serve them. */
static PyObject *bound(PyObject *module, const gk_kernel *kernel, PyObject *const *operands, Py_ssize_t count)
{
    PyTypeObject *type = ((State *)PyModule_GetState(module))->call;
    Call *self = (Call *)((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
    if (!self)
        return NULL;
    self->kernel = kernel;
    const int found = fill(self, operands, count);
    if (found > 0)
        return (PyObject *)self;
    Py_DECREF(self);
    if (found < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *bind(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    if (count < 1 || count > MOST) {
        PyErr_SetString(PyExc_TypeError, "bind needs a kernel's name and its operands");
        return NULL;
    }
    const char *name = PyUnicode_AsUTF8AndSize(args[0], NULL);
    if (!name)
        return NULL;
    for (Py_ssize_t k = 0; k < COUNT; k++)
        if (!strcmp(kernels[k]->name, name) && kernels[k] != &gk_loop)
            return bound(module, kernels[k], args + 1, count - 1);
    PyErr_SetObject(PyExc_KeyError, args[0]);
    return NULL;
}

static PyObject *bind_loop(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    if (count != 4) {
        PyErr_SetString(PyExc_TypeError, "bind_loop needs the addresses of a loop and of its data, and two arrays");
        return NULL;
    }
    void *loop = PyLong_AsVoidPtr(args[0]), *data = PyErr_Occurred() ? NULL : PyLong_AsVoidPtr(args[1]);
    if (PyErr_Occurred())
        return NULL;
    PyObject *found = loop ? bound(module, &gk_loop, args + 2, 2) : NULL;
    if (!loop)
        PyErr_SetString(PyExc_ValueError, "the loop has no address");
    if (found && found != Py_None) {
        ((Call *)found)->arrays[2].data = loop;
        ((Call *)found)->arrays[3].data = data;
    }
    return found;
}

/* Rows */

/* An array of rows, and the buffer that gets those of a batch. */
typedef struct {
    Py_buffer from, to;
    Py_ssize_t width; /* bytes of a row */
} Pair;

typedef struct {
    PyObject_HEAD
    Pair *pairs;
    Py_ssize_t count, step, first, rows, total; /* pairs; rows of a batch, before ours, ours, of all */
    int is_long;
} Rows;

static void Rows_dealloc(Rows *self)
{
    PyTypeObject *type = Py_TYPE((PyObject *)self);
    for (Py_ssize_t k = 0; k < self->count; k++) {
        if (self->pairs[k].from.obj)
            PyBuffer_Release(&self->pairs[k].from);
        if (self->pairs[k].to.obj)
            PyBuffer_Release(&self->pairs[k].to);
    }
    PyMem_Free(self->pairs);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

static void copy_rows(const Rows *self, Py_ssize_t start, const int64_t *order)
{
    for (const Pair *pair = self->pairs; pair < self->pairs + self->count; pair++) {
        const char *from = pair->from.buf;
        char *to = pair->to.buf;
        const size_t width = (size_t)pair->width;
        if (!order) {
            memcpy(to, from + start * pair->width, (size_t)self->rows * width);
            continue;
        }
        for (Py_ssize_t k = 0; k < self->rows; k++)
            memcpy(to + k * pair->width, from + (Py_ssize_t)order[start + k] * pair->width, width);
    }
}

static PyObject *Rows_call(Rows *self, PyObject *args, PyObject *named)
{
    const Py_ssize_t given = PyTuple_Size(args);
    if (given < 1 || given > 2 || (named && PyDict_Size(named))) {
        PyErr_SetString(PyExc_TypeError, "rows are copied by the index of a batch, and an order or nothing");
        return NULL;
    }
    const Py_ssize_t batch = PyLong_AsSsize_t(PyTuple_GetItem(args, 0));
    if (batch == -1 && PyErr_Occurred())
        return NULL;
    Py_buffer order = {0};
    Py_ssize_t most = self->total;
    if (given == 2) {
        if (PyObject_GetBuffer(PyTuple_GetItem(args, 1), &order, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT) < 0)
            return NULL;
        most = order.len / (Py_ssize_t)sizeof(int64_t);
    }
    const int64_t *rows = order.buf;
    int fits = batch >= 0 && (!self->step || batch <= most / self->step) && (!rows || has_type(&order, 'q'));
    const Py_ssize_t start = fits ? batch * self->step + self->first : 0;
    fits = fits && start + self->rows <= most;
    for (Py_ssize_t k = 0; fits && rows && k < self->rows; k++)
        fits = rows[start + k] >= 0 && rows[start + k] < self->total;
    if (fits) {
        PyThreadState *state = self->is_long ? PyEval_SaveThread() : NULL;
        copy_rows(self, start, rows);
        if (state)
            PyEval_RestoreThread(state);
    }
    if (order.obj)
        PyBuffer_Release(&order);
    if (!fits) {
        PyErr_SetString(PyExc_IndexError, "there are no such rows");
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyType_Slot Rows_slots[] = {
    {Py_tp_doc, "Copies the rows of a batch, given by its index, or those that an order has in their place. Keeps its arrays alive."},
    {Py_tp_dealloc, (void *)Rows_dealloc},
    {Py_tp_call, (void *)Rows_call},
    {0, NULL},
};

static PyType_Spec Rows_spec = {
    "graphspec_kernels.Rows",
    sizeof(Rows),
    0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    Rows_slots,
};

/* Get the two buffers of a pair: 1 if they have equal types and rows, 0 if not, -1 with an exception. */
static int get_pair(Rows *self, Pair *pair, PyObject *arrays)
{
    if (!PyTuple_Check(arrays) || PyTuple_Size(arrays) != 2) {
        PyErr_SetString(PyExc_TypeError, "rows need pairs of an array and a buffer");
        return -1;
    }
    if (PyObject_GetBuffer(PyTuple_GetItem(arrays, 0), &pair->from, PyBUF_STRIDES | PyBUF_FORMAT) < 0 ||
        PyObject_GetBuffer(PyTuple_GetItem(arrays, 1), &pair->to, PyBUF_STRIDES | PyBUF_FORMAT | PyBUF_WRITABLE) < 0)
        return -1;
    const Py_buffer *from = &pair->from, *to = &pair->to;
    if (!from->ndim || from->ndim != to->ndim || !type_of(from) || type_of(from) != type_of(to) ||
        !PyBuffer_IsContiguous(from, 'C') || !PyBuffer_IsContiguous(to, 'C'))
        return 0;
    pair->width = to->itemsize;
    for (int k = 1; k < to->ndim; k++) {
        pair->width *= to->shape[k];
        if (from->shape[k] != to->shape[k])
            return 0;
    }
    if (pair == self->pairs) {
        self->total = from->shape[0];
        self->rows = to->shape[0];
    }
    return from->shape[0] == self->total && to->shape[0] == self->rows;
}

/* rows(step, first, pairs): None if arrays and buffers do not have the same types and rows, without gaps. */
static PyObject *rows(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    if (count != 3) {
        PyErr_SetString(PyExc_TypeError, "rows needs the rows of a batch, those before ours, and pairs of arrays");
        return NULL;
    }
    const Py_ssize_t step = PyLong_AsSsize_t(args[0]), first = PyErr_Occurred() ? -1 : PyLong_AsSsize_t(args[1]);
    if (PyErr_Occurred())
        return NULL;
    if (step < 0 || first < 0) {
        PyErr_SetString(PyExc_ValueError, "rows are counted from 0");
        return NULL;
    }
    PyTypeObject *type = ((State *)PyModule_GetState(module))->rows;
    PyObject *pairs = PySequence_Tuple(args[2]);
    Rows *self = pairs ? (Rows *)((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0) : NULL;
    if (!self) {
        Py_XDECREF(pairs);
        return NULL;
    }
    const Py_ssize_t size = PyTuple_Size(pairs);
    self->step = step;
    self->first = first;
    self->pairs = PyMem_Calloc((size_t)size + 1, sizeof(Pair));
    int found = self->pairs ? size > 0 : -1;
    if (!self->pairs)
        PyErr_NoMemory();
    Py_ssize_t bytes = 0;
    for (; found > 0 && self->count < size; bytes += self->pairs[self->count - 1].to.len) {
        self->count++;
        found = get_pair(self, &self->pairs[self->count - 1], PyTuple_GetItem(pairs, self->count - 1));
    }
    self->is_long = bytes >= LONG;
    Py_DECREF(pairs);
    if (found > 0)
        return (PyObject *)self;
    Py_DECREF(self);
    if (found < 0)
        return NULL;
    Py_RETURN_NONE;
}

/* No exponent of all ones; without sums of numbers, so that the loop becomes vector instructions. */
GK_CLONES static int floats_finite(const uint32_t *x, Py_ssize_t count)
{
    uint32_t found = 0;
    for (Py_ssize_t k = 0; k < count; k++)
        found |= (uint32_t)((x[k] & 0x7f800000u) == 0x7f800000u);
    return !found;
}

static PyObject *is_finite(PyObject *module, PyObject *array)
{
    (void)module;
    Py_buffer view;
    if (PyObject_GetBuffer(array, &view, PyBUF_STRIDES | PyBUF_FORMAT) < 0)
        return NULL;
    const int serves = type_of(&view) == 'f' && PyBuffer_IsContiguous(&view, 'A');
    PyObject *result = serves && floats_finite(view.buf, view.len / 4) ? Py_True : Py_False;
    PyBuffer_Release(&view);
    Py_INCREF(result);
    return result;
}

static PyObject *operands(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    PyObject *result = PyDict_New();
    for (Py_ssize_t k = 0; result && k < COUNT; k++) {
        PyObject *names = PyList_New(0), *tuple = NULL;
        const char *text = kernels[k]->operands;
        Mark mark;
        while (names && (text = next_mark(text, &mark))) {
            PyObject *name = PyUnicode_FromStringAndSize(mark.name, mark.length);
            if (!name || PyList_Append(names, name) < 0)
                Py_CLEAR(names);
            Py_XDECREF(name);
        }
        tuple = names ? PyList_AsTuple(names) : NULL;
        if (!tuple || PyDict_SetItemString(result, kernels[k]->name, tuple) < 0)
            Py_CLEAR(result);
        Py_XDECREF(tuple);
        Py_XDECREF(names);
    }
    return result;
}

static int start(PyObject *module)
{
    State *state = PyModule_GetState(module);
    state->call = (PyTypeObject *)PyType_FromModuleAndSpec(module, &Call_spec, NULL);
    state->sequence = (PyTypeObject *)PyType_FromModuleAndSpec(module, &Sequence_spec, NULL);
    state->rows = (PyTypeObject *)PyType_FromModuleAndSpec(module, &Rows_spec, NULL);
    if (!state->call || !state->sequence || !state->rows || PyModule_AddIntConstant(module, "ABI", GK_ABI) < 0)
        return -1;
    PyTypeObject *types[] = {state->call, state->rows, state->sequence};
    for (int k = 0; k < 3; k++)
        if (PyModule_AddType(module, types[k]) < 0)
            return -1;
    return 0;
}

static int traverse(PyObject *module, visitproc visit, void *arg)
{
    State *state = PyModule_GetState(module);
    if (state) {
        Py_VISIT(state->call);
        Py_VISIT(state->sequence);
        Py_VISIT(state->rows);
    }
    return 0;
}

static int clear(PyObject *module)
{
    State *state = PyModule_GetState(module);
    if (state) {
        Py_CLEAR(state->call);
        Py_CLEAR(state->sequence);
        Py_CLEAR(state->rows);
    }
    return 0;
}

static void release(void *module)
{
    clear(module);
}

static PyMethodDef functions[] = {
    {"bind", (PyCFunction)(void (*)(void))bind, METH_FASTCALL, "Bind a kernel to arrays; None if it does not serve them."},
    {"bind_loop", (PyCFunction)(void (*)(void))bind_loop, METH_FASTCALL,
     "Bind the inner loop of a ufunc, given by the addresses of its function and data, to an input and a result."},
    {"sequence", sequence, METH_O, "Return a Sequence of pairs of a function and its operands, kernels among them."},
    {"use_blas", (PyCFunction)(void (*)(void))use_blas, METH_FASTCALL,
     "Set the BLAS of products: whether its integers have 64 bits, and pairs of addresses of gemm, gemv, dot; or none."},
    {"use_tanh", (PyCFunction)(void (*)(void))use_tanh, METH_FASTCALL,
     "Set the loops of tanh of NumPy: the addresses of a loop and its data for floats, then for doubles; or none."},
    {"rows", (PyCFunction)(void (*)(void))rows, METH_FASTCALL,
     "Return Rows: the rows of a batch, those before ours in it, and pairs of an array and a buffer; None without an answer."},
    {"is_finite", is_finite, METH_O, "Return whether all numbers are finite; False for others than floats without gaps."},
    {"operands", operands, METH_NOARGS, "Return the names of the operands of every kernel."},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {{Py_mod_exec, (void *)start}, {0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_core", "Kernels bound to arrays.", sizeof(State), functions, slots,
    traverse, clear, release,
};

PyMODINIT_FUNC PyInit__core(void)
{
    return PyModuleDef_Init(&definition);
}
