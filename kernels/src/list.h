/* All kernels: gk_<name> is defined in one of the other files. */

GK_KERNEL(adagrad)
GK_KERNEL(adam)
GK_KERNEL(norm_gradient)
GK_KERNEL(relu)
GK_KERNEL(relu_gradient)
GK_KERNEL(rmsprop)
GK_KERNEL(scale_shift)
GK_KERNEL(sgd)
