/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/cluster-priv.h"
#include "model/paper-tables.h"
#include "policy/affinity-priv.h"

#include <imig/workload.h>
#include <math.h>
#include <string.h>

struct imig_affinity {
    imig__affinity_table *table;
    GHashTable *columns, *rows; /* name -> index; rows without "solo" */
    GHashTable *workloads;      /* name that is no class -> number, from 0 */
    const double *solo;         /* [columns] times of that row; NULL: there is none */
    double *matrix;             /* [label_count * label_count] */
};

imig__affinity_table *
imig__affinity_table_new(void)
{
    imig__affinity_table *table = g_new0(imig__affinity_table, 1);

    table->columns = g_ptr_array_new_with_free_func(g_free);
    table->rows = g_ptr_array_new_with_free_func(g_free);
    table->times = g_array_new(FALSE, FALSE, sizeof(double));
    return table;
}

void
imig__affinity_table_free(imig__affinity_table *table)
{
    if (!table)
        return;
    g_free(table->corner);
    g_ptr_array_unref(table->columns);
    g_ptr_array_unref(table->rows);
    g_array_unref(table->times);
    g_free(table);
}

static imig__affinity_table *
table2(void)
{
    imig__affinity_table *table = imig__affinity_table_new();

    table->corner = g_strdup("destination");
    for (int i = 0; i < IMIG__TABLE2_SIZE; i++) {
        g_ptr_array_add(table->columns, g_strdup(imig__table2_names[i]));
        g_ptr_array_add(table->rows, g_strdup(imig__table2_names[i]));
        g_array_append_vals(table->times, imig__table2_s[i], IMIG__TABLE2_SIZE);
    }
    return table;
}

static uint32_t
find(GHashTable *names, const char *name)
{
    void *index;

    if (name && g_hash_table_lookup_extended(names, name, NULL, &index))
        return GPOINTER_TO_UINT(index);
    return IMIG_NO_INDEX;
}

static double
time_at(const imig_affinity *a, size_t row, size_t column)
{
    return g_array_index(a->table->times, double, row * a->table->columns->len + column);
}

static void
find_range(const imig_affinity *a, uint32_t column, double *least, double *most)
{
    GHashTableIter iter;
    void *row;

    *least = INFINITY;
    *most = 0;
    g_hash_table_iter_init(&iter, a->rows);
    while (g_hash_table_iter_next(&iter, NULL, &row)) {
        double time = time_at(a, GPOINTER_TO_UINT(row), column);

        *least = MIN(*least, time);
        *most = MAX(*most, time);
    }
}

static gboolean
pollutes(const char *name)
{
    return strcmp(name, "bwaves") == 0 || strcmp(name, "libquantum") == 0;
}

/*
 * Class against class.  The programs of Table 2 compute, and the paper says of bwaves and
 * libquantum that they pollute the cache, which is what memory-dirty VMs do: each value is the mean
 * over those pairs.  What else is not 0 is assumed: doc/paper-map.md.
 */
static void
fill_classes(double slowdown[IMIG_WORKLOAD_COUNT][IMIG_WORKLOAD_COUNT])
{
    static const double packets = 0.02; /* they cost CPU and cache */
    static const int32_t kinds[2] = { IMIG_WORKLOAD_CPU, IMIG_WORKLOAD_MEMORY_DIRTY };
    static const int32_t net[2] = { IMIG_WORKLOAD_WEB_SERVER, IMIG_WORKLOAD_NET_RECEIVE };
    int count[2][2] = { { 0 } };

    for (int column = 0; column < IMIG__TABLE2_SIZE; column++)
        for (int row = 0; row < IMIG__TABLE2_SIZE; row++) {
            const char *victim = imig__table2_names[column], *neighbour = imig__table2_names[row];
            double least = INFINITY;

            for (int i = 0; i < IMIG__TABLE2_SIZE; i++)
                least = MIN(least, imig__table2_s[i][column]);
            for (int v = 0; v <= pollutes(victim); v++)
                for (int n = 0; n <= pollutes(neighbour); n++) {
                    slowdown[kinds[v]][kinds[n]] += imig__table2_s[row][column] / least - 1;
                    count[v][n]++;
                }
        }
    for (int v = 0; v < 2; v++)
        for (int n = 0; n < 2; n++) {
            slowdown[kinds[v]][kinds[n]] /= count[v][n];
            slowdown[kinds[v]][net[n]] = slowdown[net[n]][kinds[v]] = packets;
        }
}

static void
number_names(imig_affinity *a)
{
    const GPtrArray *columns = a->table->columns, *rows = a->table->rows;

    for (uint32_t i = 0; i < columns->len; i++)
        g_hash_table_insert(a->columns, columns->pdata[i], GUINT_TO_POINTER(i));
    for (uint32_t i = 0; i < rows->len; i++)
        if (strcmp(rows->pdata[i], IMIG__AFFINITY_SOLO) == 0)
            a->solo = &g_array_index(a->table->times, double, (size_t) i * columns->len);
        else
            g_hash_table_insert(a->rows, rows->pdata[i], GUINT_TO_POINTER(i));
    for (uint32_t i = 0; i < columns->len + rows->len; i++) {
        char *name = i < columns->len ? columns->pdata[i] : rows->pdata[i - columns->len];

        if (imig_workload_from_name(name) == IMIG_WORKLOAD_UNKNOWN
            && !g_hash_table_contains(a->workloads, name))
            g_hash_table_insert(a->workloads, name,
                                GUINT_TO_POINTER(g_hash_table_size(a->workloads)));
    }
}

/* What the table says about names: workloads first, then classes; NaN where there is no cell. */
static double *
measure_pairs(const imig_affinity *a, uint32_t workloads)
{
    size_t n = workloads + (size_t) IMIG_WORKLOAD_COUNT;
    uint32_t *column = g_new(uint32_t, n), *row = g_new(uint32_t, n);
    double *slowdown = g_new(double, n * n), *solo = g_new(double, a->table->columns->len), most;
    GHashTableIter iter;
    void *name, *number;

    for (uint32_t i = 0; i < a->table->columns->len; i++) {
        find_range(a, i, &solo[i], &most);
        if (a->solo)
            solo[i] = a->solo[i];
    }
    g_hash_table_iter_init(&iter, a->workloads);
    while (g_hash_table_iter_next(&iter, &name, &number)) {
        column[GPOINTER_TO_UINT(number)] = find(a->columns, name);
        row[GPOINTER_TO_UINT(number)] = find(a->rows, name);
    }
    for (int32_t c = 0; c < IMIG_WORKLOAD_COUNT; c++) {
        column[workloads + (uint32_t) c] = find(a->columns, imig_workload_name(c));
        row[workloads + (uint32_t) c] = find(a->rows, imig_workload_name(c));
    }
    for (size_t victim = 0; victim < n; victim++)
        for (size_t neighbour = 0; neighbour < n; neighbour++) {
            double *s = &slowdown[victim * n + neighbour];

            if (column[victim] == IMIG_NO_INDEX || row[neighbour] == IMIG_NO_INDEX)
                *s = NAN;
            else
                *s = MAX(time_at(a, row[neighbour], column[victim]) / solo[column[victim]] - 1, 0);
        }
    g_free(column);
    g_free(row);
    g_free(solo);
    return slowdown;
}

/* By workload, then by class as the table has it, then by class. */
static void
fill_matrix(imig_affinity *a)
{
    double classes[IMIG_WORKLOAD_COUNT][IMIG_WORKLOAD_COUNT] = { { 0 } };
    const uint32_t workloads = g_hash_table_size(a->workloads);
    const size_t n = workloads + (size_t) IMIG_WORKLOAD_COUNT;
    const size_t labels = imig__affinity_label_count(a);
    double *pairs = measure_pairs(a, workloads);

    fill_classes(classes);
    a->matrix = g_new(double, labels * labels);
    for (size_t i = 0; i < labels; i++)
        for (size_t j = 0; j < labels; j++) {
            size_t victim = i / IMIG_WORKLOAD_COUNT, victim_class = i % IMIG_WORKLOAD_COUNT;
            size_t neighbour = j / IMIG_WORKLOAD_COUNT, neighbour_class = j % IMIG_WORKLOAD_COUNT;
            double s;

            if (victim == workloads)
                victim += victim_class;
            if (neighbour == workloads)
                neighbour += neighbour_class;
            s = pairs[victim * n + neighbour];
            if (isnan(s))
                s = pairs[(workloads + victim_class) * n + workloads + neighbour_class];
            if (isnan(s))
                s = classes[victim_class][neighbour_class];
            a->matrix[i * labels + j] = s;
        }
    g_free(pairs);
}

static imig_affinity *
affinity_new(imig__affinity_table *table)
{
    imig_affinity *a = g_atomic_rc_box_new0(imig_affinity);

    a->table = table;
    a->columns = g_hash_table_new(g_str_hash, g_str_equal);
    a->rows = g_hash_table_new(g_str_hash, g_str_equal);
    a->workloads = g_hash_table_new(g_str_hash, g_str_equal);
    number_names(a);
    fill_matrix(a);
    return a;
}

static void
affinity_clear(void *data)
{
    imig_affinity *a = data;

    g_hash_table_unref(a->columns);
    g_hash_table_unref(a->rows);
    g_hash_table_unref(a->workloads);
    g_free(a->matrix);
    imig__affinity_table_free(a->table);
}

imig_affinity *
imig_affinity_new_default(void)
{
    return affinity_new(table2());
}

int
imig_affinity_from_csv(const char *text, size_t length, imig_affinity **affinity,
                       imig_error **error)
{
    imig__affinity_table *table;
    int rc;

    if (!text || !affinity)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "text or affinity is NULL");
    rc = imig__affinity_table_from_csv(text, length, &table, error);
    if (rc == IMIG_OK)
        *affinity = affinity_new(table);
    return rc;
}

int
imig_affinity_to_csv(const imig_affinity *affinity, char **text, imig_error **error)
{
    if (!affinity || !text)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "affinity or text is NULL");
    *text = imig__affinity_table_to_csv(affinity->table);
    return IMIG_OK;
}

imig_affinity *
imig_affinity_ref(imig_affinity *affinity)
{
    return affinity ? g_atomic_rc_box_acquire(affinity) : NULL;
}

void
imig_affinity_unref(imig_affinity *affinity)
{
    if (affinity)
        g_atomic_rc_box_release_full(affinity, affinity_clear);
}

size_t
imig_affinity_count(const imig_affinity *affinity)
{
    return affinity ? affinity->table->columns->len : 0;
}

const char *
imig_affinity_name(const imig_affinity *affinity, size_t index)
{
    return index < imig_affinity_count(affinity) ? affinity->table->columns->pdata[index] : NULL;
}

double
imig_affinity_max_difference(const imig_affinity *affinity, size_t index)
{
    double least, most;

    if (index >= imig_affinity_count(affinity))
        return NAN;
    find_range(affinity, (uint32_t) index, &least, &most);
    return (most - least) / most;
}

double
imig_affinity_time(const imig_affinity *affinity, const char *row, const char *column)
{
    uint32_t r, c;

    if (!affinity)
        return NAN;
    r = find(affinity->rows, row);
    c = find(affinity->columns, column);
    if (c == IMIG_NO_INDEX)
        return NAN;
    if (r == IMIG_NO_INDEX)
        return affinity->solo && g_strcmp0(row, IMIG__AFFINITY_SOLO) == 0 ? affinity->solo[c] : NAN;
    return time_at(affinity, r, c);
}

uint32_t
imig__affinity_label(const imig_affinity *affinity, const char *workload, int32_t workload_class)
{
    uint32_t number = find(affinity->workloads, workload);

    if (number == IMIG_NO_INDEX)
        number = g_hash_table_size(affinity->workloads);
    if (workload_class < 0 || workload_class >= IMIG_WORKLOAD_COUNT)
        workload_class = IMIG_WORKLOAD_IDLE;
    return number * IMIG_WORKLOAD_COUNT + (uint32_t) workload_class;
}

size_t
imig__affinity_label_count(const imig_affinity *affinity)
{
    return (g_hash_table_size(affinity->workloads) + (size_t) 1) * IMIG_WORKLOAD_COUNT;
}

const double *
imig__affinity_matrix(const imig_affinity *affinity)
{
    return affinity->matrix;
}

uint32_t
imig__affinity_label_vms(const imig_affinity *affinity, const imig_cluster *cluster,
                         const int32_t *workload, uint32_t *label, double **matrix)
{
    const size_t labels = imig__affinity_label_count(affinity);
    uint32_t *number = g_new(uint32_t, labels), *used = g_new(uint32_t, labels), count = 0;

    for (size_t i = 0; i < labels; i++)
        number[i] = IMIG_NO_INDEX;
    for (size_t i = 0; i < cluster->vm_count; i++) {
        uint32_t whole = imig__affinity_label(affinity, cluster->vms[i].workload, workload[i]);

        if (number[whole] == IMIG_NO_INDEX) {
            number[whole] = count;
            used[count++] = whole;
        }
        label[i] = number[whole];
    }
    *matrix = g_new(double, (size_t) count * count);
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t j = 0; j < count; j++)
            (*matrix)[i * count + j] = affinity->matrix[used[i] * labels + used[j]];
    g_free(number);
    g_free(used);
    return count;
}

double
imig_affinity_slowdown(const imig_affinity *affinity, const char *victim, int32_t victim_class,
                       const char *neighbour, int32_t neighbour_class)
{
    uint32_t i, j;

    if (!affinity)
        return NAN;
    i = imig__affinity_label(affinity, victim, victim_class);
    j = imig__affinity_label(affinity, neighbour, neighbour_class);
    return affinity->matrix[i * imig__affinity_label_count(affinity) + j];
}
