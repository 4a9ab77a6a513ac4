/* All kernels: gk_<name> is defined in one of the other files. */

GK_KERNEL(adagrad)
GK_KERNEL(adam)
GK_KERNEL(rmsprop)
GK_KERNEL(sgd)
