/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/base-priv.h"

#include <imig/affinity.h>
#include <imig/model.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SLOWDOWN_FIRST_SIZE IMIG__END_OF(imig_slowdown, vms)

enum { CLASSES = IMIG_WORKLOAD_COUNT, LEAST_OBSERVATIONS = 12, SPARE = 5, TURNS = 20 };

static const double SURE = 0.05;    /* by chance in one of twenty tables, not cells */
static const double CHANGED = 0.01; /* of a host's cores: less is no other neighbour */

typedef struct observation {
    uint32_t vm;
    int32_t workload;
    double work, beside[CLASSES];
} observation;

struct imig_affinity_learner {
    GHashTable *vms;   /* id and class -> its number */
    GArray *all;       /* of observation */
    GArray *learned;   /* of imig_slowdown */
};

imig_affinity_learner *
imig_affinity_learner_new(void)
{
    imig_affinity_learner *l = g_new(imig_affinity_learner, 1);

    l->vms = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    l->all = g_array_new(FALSE, FALSE, sizeof(observation));
    l->learned = g_array_new(FALSE, FALSE, sizeof(imig_slowdown));
    return l;
}

void
imig_affinity_learner_free(imig_affinity_learner *l)
{
    if (!l)
        return;
    g_hash_table_unref(l->vms);
    g_array_unref(l->all);
    g_array_unref(l->learned);
    g_free(l);
}

int
imig_affinity_learner_add(imig_affinity_learner *l, const char *vm, int32_t workload,
                          double work_per_s, const double *beside, size_t beside_count,
                          imig_error **error)
{
    observation o = { .workload = workload, .work = work_per_s };
    gpointer number;
    char *key;

    if (!l || !vm || (!beside && beside_count > 0))
        return imig__fail(error, IMIG_ERR_ARGUMENT, "learner, vm or beside is NULL");
    if (workload < 0 || workload >= CLASSES)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "workload: %d is no imig_workload", workload);
    if (!isfinite(work_per_s) || work_per_s <= 0)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "work_per_s: %g is not a number > 0",
                          work_per_s);
    for (size_t i = 0; i < MIN(beside_count, CLASSES); i++) {
        if (!isfinite(beside[i]) || beside[i] < 0)
            return imig__fail(error, IMIG_ERR_ARGUMENT, "beside[%zu]: %g is not a number >= 0", i,
                              beside[i]);
        o.beside[i] = beside[i];
    }
    /* A VM that does something else now is another one. */
    key = g_strdup_printf("%d %s", workload, vm);
    if (g_hash_table_lookup_extended(l->vms, key, NULL, &number)) {
        g_free(key);
    } else {
        number = GUINT_TO_POINTER(g_hash_table_size(l->vms));
        g_hash_table_insert(l->vms, key, number);
    }
    o.vm = GPOINTER_TO_UINT(number);
    g_array_append_val(l->all, o);
    return IMIG_OK;
}

/* Observations of one class, and of each VM the means. */
typedef struct fit {
    GArray *rows;               /* of const observation * */
    double *mean_work;          /* [vm] */
    double (*mean_beside)[CLASSES];
    uint32_t vms;               /* among the rows */
    int known[CLASSES];         /* [k] neighbours that vary */
    size_t k;
    double slowdown[CLASSES];   /* [k] */
    double error[CLASSES];      /* [k] */
} fit;

/* Means of the VMs of a class; their numbers of observations into count. */
static void
find_means(const imig_affinity_learner *l, int32_t workload, fit *f, uint32_t *count)
{
    for (guint i = 0; i < l->all->len; i++) {
        const observation *o = &g_array_index(l->all, observation, i);

        if (o->workload != workload)
            continue;
        count[o->vm]++;
        f->mean_work[o->vm] += o->work;
        for (int k = 0; k < CLASSES; k++)
            f->mean_beside[o->vm][k] += o->beside[k];
    }
    for (guint v = 0; v < g_hash_table_size(l->vms); v++) {
        f->mean_work[v] /= MAX(count[v], 1);
        for (int k = 0; k < CLASSES; k++)
            f->mean_beside[v][k] /= MAX(count[v], 1);
    }
}

/* The rows of VMs whose neighbours changed, and which neighbours did. */
static void
choose_rows(const imig_affinity_learner *l, int32_t workload, fit *f)
{
    g_autofree gboolean *changed = g_new0(gboolean, g_hash_table_size(l->vms) + 1);
    gboolean varies[CLASSES] = { FALSE };

    for (guint i = 0; i < l->all->len; i++) {
        const observation *o = &g_array_index(l->all, observation, i);

        for (int k = 0; o->workload == workload && k < CLASSES; k++)
            if (fabs(o->beside[k] - f->mean_beside[o->vm][k]) > CHANGED) {
                f->vms += !changed[o->vm];
                changed[o->vm] = varies[k] = TRUE;
            }
    }
    for (guint i = 0; i < l->all->len; i++) {
        const observation *o = &g_array_index(l->all, observation, i);

        if (o->workload == workload && changed[o->vm])
            g_array_append_val(f->rows, o);
    }
    for (int k = 0; k < CLASSES; k++)
        if (varies[k])
            f->known[f->k++] = k;
}

/* a: [k * k], symmetric, becomes its inverse.  FALSE where neighbours always changed together. */
static gboolean
invert(double *a, size_t k)
{
    double inverse[CLASSES * CLASSES] = { 0 };

    for (size_t i = 0; i < k; i++)
        inverse[i * k + i] = 1;
    for (size_t i = 0; i < k; i++) {
        double pivot = a[i * k + i];

        if (fabs(pivot) < 1e-9)
            return FALSE;
        for (size_t c = 0; c < k; c++) {
            a[i * k + c] /= pivot;
            inverse[i * k + c] /= pivot;
        }
        for (size_t r = 0; r < k; r++) {
            double times = a[r * k + i];

            for (size_t c = 0; r != i && c < k; c++) {
                a[r * k + c] -= times * a[i * k + c];
                inverse[r * k + c] -= times * inverse[i * k + c];
            }
        }
    }
    memcpy(a, inverse, k * k * sizeof *a);
    return TRUE;
}

/* What a VM would get done alone, by the slowdowns so far. */
static double
alone(const fit *f, uint32_t vm)
{
    double left = 1;

    for (size_t i = 0; i < f->k; i++)
        left -= f->slowdown[i] * f->mean_beside[vm][f->known[i]];
    return f->mean_work[vm] / MAX(left, 0.05);
}

/* work / alone = 1 - sum of slowdown x beside, each VM about its own means. */
static void
solve(fit *f, const double *inverse, double *squares)
{
    double right[CLASSES] = { 0 };

    for (guint r = 0; r < f->rows->len; r++) {
        const observation *o = g_array_index(f->rows, const observation *, r);
        double less = (f->mean_work[o->vm] - o->work) / alone(f, o->vm);

        for (size_t i = 0; i < f->k; i++)
            right[i] += less * (o->beside[f->known[i]] - f->mean_beside[o->vm][f->known[i]]);
    }
    for (size_t i = 0; i < f->k; i++) {
        f->slowdown[i] = 0;
        for (size_t j = 0; j < f->k; j++)
            f->slowdown[i] += inverse[i * f->k + j] * right[j];
    }
    *squares = 0;
    for (guint r = 0; r < f->rows->len; r++) {
        const observation *o = g_array_index(f->rows, const observation *, r);
        double rest = (f->mean_work[o->vm] - o->work) / alone(f, o->vm);

        for (size_t i = 0; i < f->k; i++)
            rest -= f->slowdown[i]
                  * (o->beside[f->known[i]] - f->mean_beside[o->vm][f->known[i]]);
        *squares += rest * rest;
    }
}

/* FALSE where there is too little. */
static gboolean
regress(fit *f)
{
    double inverse[CLASSES * CLASSES] = { 0 }, squares = 0, spare;

    spare = (double) f->rows->len - f->vms - (double) f->k;
    if (f->k == 0 || f->rows->len < LEAST_OBSERVATIONS || spare < SPARE)
        return FALSE;
    for (guint r = 0; r < f->rows->len; r++) {
        const observation *o = g_array_index(f->rows, const observation *, r);

        for (size_t i = 0; i < f->k; i++)
            for (size_t j = 0; j < f->k; j++)
                inverse[i * f->k + j] +=
                    (o->beside[f->known[i]] - f->mean_beside[o->vm][f->known[i]])
                    * (o->beside[f->known[j]] - f->mean_beside[o->vm][f->known[j]]);
    }
    if (!invert(inverse, f->k))
        return FALSE;
    /* What a VM gets done alone follows from the slowdowns, and they from that. */
    for (int turn = 0; turn < TURNS; turn++)
        solve(f, inverse, &squares);
    for (size_t i = 0; i < f->k; i++)
        f->error[i] = sqrt(fmax(0, inverse[i * f->k + i]) * squares / spare);
    return TRUE;
}

/* How often Student's t is further from 0 than this (Abramowitz and Stegun, 26.7.3 and 26.7.4). */
static double
beyond_t(double t, uint32_t freedom)
{
    double angle = atan(fabs(t) / sqrt(freedom)), cosine = cos(angle);
    double term = freedom % 2 ? cosine : 1, sum = 0;

    if (freedom == 0)
        return 1;
    for (uint32_t i = freedom % 2; i + 1 < freedom; i += 2) {
        sum += term;
        term *= cosine * cosine * (i + 1) / (i + 2);
    }
    sum *= sin(angle);
    return fmax(0, 1 - (freedom % 2 ? 2 * (angle + sum) / G_PI : sum));
}

/* Observations of one VM may have more in common than its mean: only VMs count as independent. */
static double
chance(const imig_slowdown *s)
{
    if (s->standard_error > 0)
        return beyond_t(s->slowdown_ratio / s->standard_error, s->vms - 1);
    return s->slowdown_ratio != 0 && s->vms > 1 ? 0 : 1;
}

static int
compare_chances(const void *a, const void *b)
{
    double x = (*(imig_slowdown *const *) a)->p_value, y = (*(imig_slowdown *const *) b)->p_value;

    return (x > y) - (x < y);
}

/* Of many cells one looks sure by chance: Holm's correction for as many as there are. */
static void
judge(GArray *learned)
{
    g_autofree imig_slowdown **s = g_new(imig_slowdown *, learned->len + 1);
    double most = 0;

    for (guint i = 0; i < learned->len; i++) {
        s[i] = &g_array_index(learned, imig_slowdown, i);
        s[i]->p_value = chance(s[i]);
    }
    qsort(s, learned->len, sizeof *s, compare_chances);
    for (guint i = 0; i < learned->len; i++) {
        most = s[i]->p_value = fmin(1, fmax(most, s[i]->p_value * (learned->len - i)));
        s[i]->sure = most < SURE && s[i]->slowdown_ratio >= 0 && s[i]->slowdown_ratio <= 1;
    }
}

static void
learn_class(imig_affinity_learner *l, int32_t workload)
{
    guint vms = g_hash_table_size(l->vms);
    g_autofree uint32_t *count = g_new0(uint32_t, vms + 1);
    fit f = { .rows = g_array_new(FALSE, FALSE, sizeof(const observation *)) };

    f.mean_work = g_new0(double, vms + 1);
    f.mean_beside = g_malloc0_n(vms + 1, sizeof *f.mean_beside);
    find_means(l, workload, &f, count);
    choose_rows(l, workload, &f);
    if (regress(&f))
        for (size_t i = 0; i < f.k; i++) {
            imig_slowdown s = {
                .size = sizeof s, .slowdown_ratio = f.slowdown[i], .standard_error = f.error[i],
                .victim = workload, .neighbour = f.known[i], .observations = f.rows->len,
                .vms = f.vms,
            };

            g_array_append_val(l->learned, s);
        }
    g_array_unref(f.rows);
    g_free(f.mean_work);
    g_free(f.mean_beside);
}

int
imig_affinity_learner_finish(imig_affinity_learner *l, size_t *count, imig_error **error)
{
    if (!l || !count)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "learner or count is NULL");
    g_array_set_size(l->learned, 0);
    for (int32_t workload = 0; workload < CLASSES; workload++)
        learn_class(l, workload);
    if (l->learned->len == 0)
        return imig__fail(error, IMIG_ERR_INVALID, "too few to learn from: of %u observations no "
                          "class has %d of VMs whose neighbours changed", l->all->len,
                          LEAST_OBSERVATIONS);
    judge(l->learned);
    *count = l->learned->len;
    return IMIG_OK;
}

int
imig_affinity_learner_get(const imig_affinity_learner *l, size_t index, imig_slowdown *slowdown,
                          imig_error **error)
{
    if (!l || !slowdown)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "learner or slowdown is NULL");
    if (index >= l->learned->len)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "there is no slowdown %zu", index);
    return imig__fill_struct(slowdown, &g_array_index(l->learned, imig_slowdown, index),
                             sizeof *slowdown, SLOWDOWN_FIRST_SIZE, error);
}
