/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMIG_MINIMISE_PRIV_H
#define IMIG_MINIMISE_PRIV_H

/* Least value of a function without derivatives (Nelder and Mead, 1965): half a page, so that the
   library needs no other for it. */

#include <stddef.h>

enum { IMIG__MINIMISE_MAX = 8 };

typedef double imig__minimise_fn(const double *x, void *data);

/*
 * x: [n] where to begin, n at most IMIG__MINIMISE_MAX; becomes the best point found.  step: [n] by
 * how much to look around at first.  Returns the value there, which is never more than at the
 * beginning.  The result depends on the arguments alone.
 */
double imig__minimise(imig__minimise_fn *value, void *data, double *x, const double *step, size_t n,
                      size_t evaluations);

#endif
