/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backend/connect-priv.h"

#include <math.h>
#include <string.h>

/* Hosts of all members get indices in one sample; of a VM that two of them show, one copy stays. */
typedef struct part {
    imig__member *member;
    imig_sample *sample;
    uint32_t *vm_index; /* [vm_count] in the merged sample; IMIG_NO_INDEX: another copy stays */
} part;

static int
sample_member(imig__member *member, double time_s, imig_sample **ret_sample, imig_error **error)
{
    imig_sample *sample = imig__sample_new(time_s);
    int code = member->ops->sample(member->state, sample, error);

    code = imig__member_answer(member, "sample", code, error);
    if (code == IMIG_OK && member->id && sample->cluster->host_count != 1)
        code = imig__fail(error, IMIG_ERR_INVALID, "id=%s stands for one host, but here are %zu",
                          member->id, sample->cluster->host_count);
    if (code != IMIG_OK) {
        imig__member_prefix(member, error);
        imig__sample_free(sample);
        return code;
    }
    *ret_sample = sample;
    return IMIG_OK;
}

static const char *
host_id(const part *p, size_t host)
{
    return p->member->id ? p->member->id : p->sample->cluster->hosts[host].id;
}

static int
add_hosts(const part *p, imig_sample *into, GHashTable *entries, imig_error **error)
{
    for (size_t i = 0; i < p->sample->cluster->host_count; i++) {
        imig_host_info host = p->sample->cluster->hosts[i];
        imig__host_entry *entry = g_hash_table_lookup(entries, host_id(p, i));
        int code;

        if (entry)
            return imig__fail(error, IMIG_ERR_INVALID, "%s and %s both show a host \"%s\"",
                              entry->member->shown, p->member->shown, host_id(p, i));
        entry = g_new(imig__host_entry, 1);
        *entry = (imig__host_entry) { .member = p->member, .own_id = g_strdup(host.id) };
        g_hash_table_insert(entries, g_strdup(host_id(p, i)), entry);
        if (!into)
            continue;
        host.id = host_id(p, i);
        code = imig_sample_add_host(into, &host, error);
        if (code != IMIG_OK)
            return code;
    }
    return IMIG_OK;
}

/* Two members show this VM: the one that runs it is right. */
static int
choose_copy(imig_connection *connection, const part *old, const part *new, const char *vm,
            const part **right, imig_error **error)
{
    imig__member *member;
    imig_location location;
    int code = imig__connection_find_vm(connection, vm, &member, &location, error);

    *right = member == new->member ? new : old;
    return code;
}

/* Decides which copy of each VM stays: vm_index becomes 0 or IMIG_NO_INDEX. */
static int
find_copies(imig_connection *connection, part *parts, imig_error **error)
{
    GHashTable *seen = g_hash_table_new(g_str_hash, g_str_equal); /* id -> &vm_index[i] */
    GHashTable *owner = g_hash_table_new(g_str_hash, g_str_equal); /* id -> part */
    int code = IMIG_OK;

    for (size_t k = 0; k < connection->member_count; k++) {
        part *p = &parts[k];

        for (size_t i = 0; i < p->sample->cluster->vm_count && code == IMIG_OK; i++) {
            const char *id = p->sample->cluster->vms[i].id;
            uint32_t *other = g_hash_table_lookup(seen, id);
            const part *right = p;

            if (other)
                code = choose_copy(connection, g_hash_table_lookup(owner, id), p, id, &right,
                                   error);
            p->vm_index[i] = right == p ? 0 : IMIG_NO_INDEX;
            if (right != p)
                continue;
            if (other)
                *other = IMIG_NO_INDEX;
            g_hash_table_insert(seen, (void *) id, &p->vm_index[i]);
            g_hash_table_insert(owner, (void *) id, p);
        }
    }
    g_hash_table_unref(seen);
    g_hash_table_unref(owner);
    return code;
}

static int
add_vms(part *p, uint32_t first_host, imig_sample *into, imig_error **error)
{
    const imig_cluster *cluster = p->sample->cluster;

    for (size_t i = 0; i < cluster->vm_count; i++) {
        imig_vm_info vm = cluster->vms[i];
        uint32_t *hosts;
        int code;

        if (p->vm_index[i] == IMIG_NO_INDEX)
            continue;
        hosts = vm.host_count ? g_memdup2(vm.hosts, vm.host_count * sizeof *hosts) : NULL;
        for (uint32_t h = 0; h < vm.host_count; h++)
            hosts[h] += first_host;
        vm.hosts = hosts;
        vm.host += first_host;
        p->vm_index[i] = (uint32_t) into->cluster->vm_count;
        code = imig_sample_add_vm(into, &vm, &p->sample->counters[i], error);
        g_free(hosts);
        if (code != IMIG_OK)
            return code;
    }
    return IMIG_OK;
}

/* A flow or rule that names a copy that went is left out: that side is not the one that counts. */
static int
add_relations(const part *p, imig_sample *into, imig_error **error)
{
    const imig_cluster *cluster = p->sample->cluster;
    int code = IMIG_OK;

    for (size_t i = 0; i < cluster->flow_count && code == IMIG_OK; i++) {
        const imig__flow *flow = &cluster->flows[i];
        uint32_t a = p->vm_index[flow->a], b = p->vm_index[flow->b];

        if (a != IMIG_NO_INDEX && b != IMIG_NO_INDEX)
            code = imig_sample_add_flow(into, a, b, flow->bytes_per_s, error);
    }
    for (size_t i = 0; i < cluster->rule_count && code == IMIG_OK; i++) {
        imig_rule_info rule = cluster->rules[i];
        uint32_t *vms = g_new(uint32_t, rule.vm_count);
        size_t known = 0;

        for (size_t k = 0; k < rule.vm_count; k++) {
            vms[k] = p->vm_index[rule.vms[k]];
            known += vms[k] != IMIG_NO_INDEX;
        }
        rule.vms = vms;
        if (known == rule.vm_count)
            code = imig_sample_add_rule(into, &rule, error);
        g_free(vms);
    }
    return code;
}

static int
merge(imig_connection *connection, part *parts, GHashTable *entries, imig_sample *into,
      imig_error **error)
{
    uint32_t first_host = 0;
    int code = IMIG_OK;

    for (size_t k = 0; k < connection->member_count; k++)
        parts[k].vm_index = g_new(uint32_t, parts[k].sample->cluster->vm_count);
    for (size_t k = 0; k < connection->member_count && code == IMIG_OK; k++)
        code = add_hosts(&parts[k], into, entries, error);
    if (code == IMIG_OK)
        code = find_copies(connection, parts, error);
    for (size_t k = 0; k < connection->member_count && code == IMIG_OK; k++) {
        code = add_vms(&parts[k], first_host, into, error);
        first_host += (uint32_t) parts[k].sample->cluster->host_count;
        if (code == IMIG_OK)
            code = add_relations(&parts[k], into, error);
    }
    return code;
}

int
imig__connection_sample(imig_connection *connection, imig_sample **ret_sample, imig_error **error)
{
    size_t n = connection->member_count;
    part *parts = g_new0(part, n);
    GHashTable *entries = imig__hosts_new();
    double now_s = imig_connection_clock(connection);
    imig_sample *sample = NULL;
    int code = IMIG_OK;

    for (size_t k = 0; k < n && code == IMIG_OK; k++) {
        parts[k].member = &connection->members[k];
        code = sample_member(parts[k].member, now_s, &parts[k].sample, error);
    }
    if (code == IMIG_OK && n == 1 && !parts[0].member->id) {
        code = add_hosts(&parts[0], NULL, entries, error);
        sample = g_steal_pointer(&parts[0].sample);
    } else if (code == IMIG_OK) {
        sample = imig__sample_new(now_s);
        code = merge(connection, parts, entries, sample, error);
    }
    for (size_t k = 0; k < n; k++) {
        imig__sample_free(parts[k].sample);
        g_free(parts[k].vm_index);
    }
    g_free(parts);
    if (code != IMIG_OK) {
        imig__sample_free(sample);
        g_hash_table_unref(entries);
        return code;
    }
    g_hash_table_unref(connection->hosts);
    connection->hosts = entries;
    *ret_sample = sample;
    return IMIG_OK;
}

int
imig__connection_find_host(imig_connection *connection, const char *id,
                           const imig__host_entry **entry, imig_error **error)
{
    imig_sample *sample;
    int code;

    *entry = g_hash_table_lookup(connection->hosts, id);
    if (*entry)
        return IMIG_OK;
    code = imig__connection_sample(connection, &sample, error);
    if (code != IMIG_OK)
        return code;
    imig__sample_free(sample);
    *entry = g_hash_table_lookup(connection->hosts, id);
    return *entry ? IMIG_OK : imig__fail(error, IMIG_ERR_NOT_FOUND, "no host \"%s\"", id);
}

static int
logging_member(imig_connection *connection, const char *host, imig__member **member,
               imig_error **error)
{
    const imig__host_entry *entry;
    int code = imig__connection_find_host(connection, host, &entry, error);

    if (code != IMIG_OK)
        return code;
    *member = entry->member;
    if (!entry->member->ops->dirty_start)
        return imig__member_unsupported(entry->member, "log dirty pages", error);
    return IMIG_OK;
}

int
imig__connection_dirty_start(imig_connection *connection, const char *host, const char *vm,
                             imig_error **error)
{
    imig__member *member;
    int code = logging_member(connection, host, &member, error);

    if (code != IMIG_OK)
        return code;
    code = member->ops->dirty_start(member->state, vm, error);
    return imig__member_answer(member, "dirty_start", code, error);
}

int
imig__connection_dirty_read(imig_connection *connection, const char *host, const char *vm,
                            imig_dirty_point *point, imig_error **error)
{
    imig__member *member;
    int code = logging_member(connection, host, &member, error);

    if (code != IMIG_OK)
        return code;
    *point = (imig_dirty_point) { .size = sizeof *point };
    code = member->ops->dirty_read(member->state, vm, point, error);
    return imig__member_answer(member, "dirty_read", code, error);
}

int
imig__connection_dirty_stop(imig_connection *connection, const char *host, const char *vm,
                            imig_error **error)
{
    imig__member *member;
    int code = logging_member(connection, host, &member, error);

    if (code != IMIG_OK)
        return code;
    code = member->ops->dirty_stop(member->state, vm, error);
    return imig__member_answer(member, "dirty_stop", code, error);
}

double
imig__dirty_reading_s(double for_s, size_t n, size_t k)
{
    const double first_share = 1.0 / 32;

    if (n == 1)
        return for_s;
    return for_s * pow(first_share, (double) (n - 1 - k) / (double) (n - 1));
}

static int
read_points(imig_connection *connection, const char *host, const char *vm, double for_s,
            size_t n, imig_dirty_point *points, imig_error **error)
{
    double start_s = imig_connection_clock(connection);

    for (size_t k = 0; k < n; k++) {
        double due_s = start_s + imig__dirty_reading_s(for_s, n, k);
        int code = IMIG_OK;

        /* Waiting also ends when something happens to a job. */
        while (code == IMIG_OK && imig_connection_clock(connection) < due_s)
            code = imig_connection_wait(connection, due_s, error);
        if (code == IMIG_OK)
            code = imig__connection_dirty_read(connection, host, vm, &points[k], error);
        if (code != IMIG_OK)
            return code;
    }
    return IMIG_OK;
}

static int
log_dirty(imig_connection *connection, const char *vm, double for_s, size_t n,
          imig_dirty_point *points, imig_error **error)
{
    imig__member *member;
    imig_location location;
    int code = imig__connection_find_vm(connection, vm, &member, &location, error);
    int stopped;

    if (code != IMIG_OK)
        return code;
    if (!member)
        return imig__fail(error, IMIG_ERR_NOT_FOUND, "no VM \"%s\"", vm);
    if (location.state == IMIG_VM_MOVING)
        return imig__fail(error, IMIG_ERR_BUSY, "VM %s is being migrated", vm);
    if (member->id)
        g_strlcpy(location.host, member->id, sizeof location.host);
    code = imig__connection_dirty_start(connection, location.host, vm, error);
    if (code != IMIG_OK)
        return code;
    code = read_points(connection, location.host, vm, for_s, n, points, error);
    stopped = imig__connection_dirty_stop(connection, location.host, vm,
                                          code == IMIG_OK ? error : NULL);
    return code == IMIG_OK ? stopped : code;
}

int
imig_connection_dirty(imig_connection *connection, const char *vm, double for_s, size_t points,
                      double *elapsed_s, double *dirtied_bytes, imig_error **error)
{
    imig_dirty_point *point;
    int code;

    if (!connection || !vm || !elapsed_s || !dirtied_bytes)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "%s is NULL",
                          !connection ? "connection" : !vm ? "vm" :
                          elapsed_s ? "dirtied_bytes" : "elapsed_s");
    if (!(for_s > 0 && isfinite(for_s)) || points < 1)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "%g seconds, %zu points: must be positive",
                          for_s, points);
    point = g_try_new0(imig_dirty_point, points);
    if (!point)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "%zu points are too many", points);
    code = log_dirty(connection, vm, for_s, points, point, error);
    for (size_t k = 0; k < points && code == IMIG_OK; k++) {
        elapsed_s[k] = point[k].elapsed_s;
        dirtied_bytes[k] = point[k].dirtied_bytes;
    }
    g_free(point);
    return code;
}
