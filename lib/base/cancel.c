/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib.h>
#include <imig/cancel.h>

struct imig_cancel {
    int level; /* atomic */
};

imig_cancel *
imig_cancel_new(void)
{
    return g_atomic_rc_box_new0(imig_cancel);
}

imig_cancel *
imig_cancel_ref(imig_cancel *cancel)
{
    return g_atomic_rc_box_acquire(cancel);
}

void
imig_cancel_unref(imig_cancel *cancel)
{
    if (cancel)
        g_atomic_rc_box_release(cancel);
}

void
imig_cancel_trigger(imig_cancel *cancel)
{
    /* Lock-free, so that a signal handler may call it; a third wish is no more than a second. */
    if (!g_atomic_int_compare_and_exchange(&cancel->level, 0, 1))
        g_atomic_int_set(&cancel->level, 2);
}

int
imig_cancel_level(const imig_cancel *cancel)
{
    return cancel ? g_atomic_int_get(&cancel->level) : 0;
}
