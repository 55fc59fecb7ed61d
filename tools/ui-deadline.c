/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ui.h"

#include <math.h>

struct ui_deadline {
    imig_cancel *cancel;
    GThread *thread;
    GMutex mutex;
    GCond changed;
    gboolean over;
    int64_t at_us;
};

/* The library has no clock: somebody has to look at one. */
static gpointer
watch_clock(gpointer data)
{
    ui_deadline *deadline = data;

    g_mutex_lock(&deadline->mutex);
    while (!deadline->over)
        if (!g_cond_wait_until(&deadline->changed, &deadline->mutex, deadline->at_us)) {
            imig_cancel_trigger(deadline->cancel);
            break;
        }
    g_mutex_unlock(&deadline->mutex);
    return NULL;
}

ui_deadline *
ui_deadline_new(double limit_s)
{
    ui_deadline *deadline;

    if (isnan(limit_s))
        return NULL;
    deadline = g_new0(ui_deadline, 1);
    deadline->cancel = imig_cancel_new();
    deadline->at_us = g_get_monotonic_time() + (int64_t) (MIN(limit_s, 1e9) * 1e6);
    g_mutex_init(&deadline->mutex);
    g_cond_init(&deadline->changed);
    deadline->thread = g_thread_new("deadline", watch_clock, deadline);
    return deadline;
}

const imig_cancel *
ui_deadline_cancel(const ui_deadline *deadline)
{
    return deadline ? deadline->cancel : NULL;
}

gboolean
ui_deadline_free(ui_deadline *deadline)
{
    gboolean passed;

    if (!deadline)
        return FALSE;
    g_mutex_lock(&deadline->mutex);
    deadline->over = TRUE;
    g_cond_signal(&deadline->changed);
    g_mutex_unlock(&deadline->mutex);
    g_thread_join(deadline->thread);
    passed = imig_cancel_level(deadline->cancel) > 0;
    imig_cancel_unref(deadline->cancel);
    g_mutex_clear(&deadline->mutex);
    g_cond_clear(&deadline->changed);
    g_free(deadline);
    return passed;
}
