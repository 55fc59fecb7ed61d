/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backend/connect-priv.h"

#include <string.h>

/* Hosts of all members get indices in one sample; of a VM that two of them show, one copy stays. */
typedef struct part {
    imig__member *member;
    imig_sample *sample;   /* NULL: the member does not answer */
    imig_error *error;     /* why */
    uint32_t first_host;   /* in the merged sample */
    uint32_t *vm_index;    /* [vm_count] in the merged sample; IMIG_NO_INDEX: it is left out */
} part;

static int
sample_member(imig_connection *connection, imig__member *member, double time_s,
              imig_sample **ret_sample, imig_error **error)
{
    imig_sample *sample;
    int code = IMIG_OK;

    /* Who was silent the last time may be so because the line is dead; not at the price of jobs. */
    if (!member->is_open || (member->silent && member->jobs == 0))
        code = imig__member_open(connection, member, error);
    if (code != IMIG_OK)
        return code;
    sample = imig__sample_new(time_s);
    code = member->ops->sample(member->state, sample, error);
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

/* Takes the error of a part. */
static int
fail_with(part *p, imig_error **error)
{
    int code = imig_error_code(p->error);

    if (error && !*error)
        *error = g_steal_pointer(&p->error);
    return code;
}

/* Asks everybody.  Nobody is called missing or back before it is sure that there is a sample. */
static int
sample_members(imig_connection *connection, part *parts, double time_s, imig_error **error)
{
    part *first = NULL;
    size_t answered = 0;

    for (size_t k = 0; k < connection->member_count; k++) {
        part *p = &parts[k];
        int code;

        p->member = &connection->members[k];
        code = sample_member(connection, p->member, time_s, &p->sample, &p->error);
        p->member->silent = imig__is_silence(code);
        if (code == IMIG_OK)
            answered++;
        else if (!imig__is_silence(code))
            return fail_with(p, error);
        else if (!first)
            first = p;
    }
    if (answered == 0)
        return fail_with(first, error);
    for (size_t k = 0; k < connection->member_count; k++) {
        if (parts[k].sample)
            imig__member_back(parts[k].member);
        else
            imig__member_lost(parts[k].member, parts[k].error);
    }
    return IMIG_OK;
}

/* What the member shows, or has last shown; NULL: it never has. */
static const imig_cluster *
shown_by(const part *p)
{
    return p->sample ? p->sample->cluster : p->member->last;
}

static const char *
host_id(const part *p, size_t host)
{
    return p->member->id ? p->member->id : shown_by(p)->hosts[host].id;
}

/* Whose host is it?  Of one that is missing only what nobody else shows. */
static int
enter_hosts(const part *p, GHashTable *entries, imig_error **error)
{
    const imig_cluster *cluster = shown_by(p);

    for (size_t i = 0; cluster && i < cluster->host_count; i++) {
        imig__host_entry *entry = g_hash_table_lookup(entries, host_id(p, i));

        if (entry && p->sample)
            return imig__fail(error, IMIG_ERR_INVALID, "%s and %s both show a host \"%s\"",
                              entry->member->shown, p->member->shown, host_id(p, i));
        if (entry)
            continue;
        entry = g_new(imig__host_entry, 1);
        *entry = (imig__host_entry) {
            .member = p->member, .own_id = g_strdup(cluster->hosts[i].id),
        };
        g_hash_table_insert(entries, g_strdup(host_id(p, i)), entry);
    }
    return IMIG_OK;
}

/* Those that answer come first: where a host has changed hands, they are right. */
static int
enter_all_hosts(const imig_connection *connection, const part *parts, GHashTable *entries,
                imig_error **error)
{
    int code = IMIG_OK;

    for (int missing = 0; missing < 2; missing++)
        for (size_t k = 0; k < connection->member_count && code == IMIG_OK; k++)
            if ((parts[k].sample == NULL) == missing)
                code = enter_hosts(&parts[k], entries, error);
    return code;
}

static int
add_hosts(const imig_connection *connection, part *p, GHashTable *entries, imig_sample *into,
          imig_error **error)
{
    const imig_cluster *cluster = shown_by(p);

    p->first_host = (uint32_t) into->cluster->host_count;
    for (size_t i = 0; cluster && i < cluster->host_count; i++) {
        const imig__host_entry *entry = g_hash_table_lookup(entries, host_id(p, i));
        imig_host_info host = cluster->hosts[i];
        int code;

        if (entry->member != p->member)
            continue;
        host.id = host_id(p, i);
        if (connection->capacities)
            imig__capacities_apply(connection->capacities, &host);
        if (!p->sample)
            host.state = IMIG_HOST_OFFLINE;
        code = imig_sample_add_host(into, &host, error);
        if (code != IMIG_OK)
            return code;
    }
    return IMIG_OK;
}

/* How sure this member is that it has the VM; who cannot be asked is not. */
static int
rank_at(const part *p, const char *vm)
{
    imig_location location;

    return imig__member_locate(p->member, vm, &location, NULL) == IMIG_OK
               ? imig__state_rank(location.state) : -1;
}

/* VMs that were last seen with a member that is missing: a copy elsewhere may be one that waits for
   its pages. */
static GHashTable *
vms_of_missing(const imig_connection *connection, const part *parts)
{
    GHashTable *vms = g_hash_table_new(g_str_hash, g_str_equal);

    for (size_t k = 0; k < connection->member_count; k++) {
        const imig_cluster *last = parts[k].sample ? NULL : shown_by(&parts[k]);

        for (size_t i = 0; last && i < last->vm_count; i++)
            g_hash_table_add(vms, (void *) last->vms[i].id);
    }
    return vms;
}

/* Decides which copy of each VM stays: vm_index becomes 0 or IMIG_NO_INDEX.  Of two that are shown
   the one that runs is right. */
static void
find_copies(imig_connection *connection, part *parts)
{
    GHashTable *seen = g_hash_table_new(g_str_hash, g_str_equal); /* id -> &vm_index[i] */
    GHashTable *owner = g_hash_table_new(g_str_hash, g_str_equal); /* id -> part */
    GHashTable *away = vms_of_missing(connection, parts);

    for (size_t k = 0; k < connection->member_count; k++) {
        part *p = &parts[k];

        for (size_t i = 0; p->sample && i < p->sample->cluster->vm_count; i++) {
            const char *id = p->sample->cluster->vms[i].id;
            uint32_t *other = g_hash_table_lookup(seen, id);

            p->vm_index[i] = IMIG_NO_INDEX;
            if (other && rank_at(p, id) <= rank_at(g_hash_table_lookup(owner, id), id))
                continue;
            if (!other && g_hash_table_contains(away, id)
                && rank_at(p, id) < imig__state_rank(IMIG_VM_RUNNING))
                continue;
            p->vm_index[i] = 0;
            if (other)
                *other = IMIG_NO_INDEX;
            g_hash_table_insert(seen, (void *) id, &p->vm_index[i]);
            g_hash_table_insert(owner, (void *) id, p);
        }
    }
    g_hash_table_unref(seen);
    g_hash_table_unref(owner);
    g_hash_table_unref(away);
}

/* Times on the connection's clock instead of the member's, which another host of the VM or another
   state of the member does not share. */
static void
set_times(const imig__member *member, imig_vm_info *vm, imig_vm_counters *counters)
{
    vm->cooldown_until_s -= vm->present & IMIG_VM_HAS_COOLDOWN ? member->clock_offset_s : 0;
    counters->time_s -= member->clock_offset_s;
}

static int
add_vms(part *p, imig_sample *into, imig_error **error)
{
    const imig_cluster *cluster = p->sample->cluster;

    for (size_t i = 0; i < cluster->vm_count; i++) {
        imig_vm_info vm = cluster->vms[i];
        imig_vm_counters counters = p->sample->counters[i];
        uint32_t *hosts;
        int code;

        if (p->vm_index[i] == IMIG_NO_INDEX)
            continue;
        hosts = vm.host_count ? g_memdup2(vm.hosts, vm.host_count * sizeof *hosts) : NULL;
        for (uint32_t h = 0; h < vm.host_count; h++)
            hosts[h] += p->first_host;
        vm.hosts = hosts;
        vm.host += p->first_host;
        p->vm_index[i] = (uint32_t) into->cluster->vm_count;
        set_times(p->member, &vm, &counters);
        code = imig_sample_add_vm(into, &vm, &counters, error);
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
    int code = IMIG_OK;

    for (size_t k = 0; k < connection->member_count && code == IMIG_OK; k++) {
        if (parts[k].sample)
            parts[k].vm_index = g_new(uint32_t, parts[k].sample->cluster->vm_count);
        code = add_hosts(connection, &parts[k], entries, into, error);
    }
    if (code == IMIG_OK)
        find_copies(connection, parts);
    for (size_t k = 0; k < connection->member_count && code == IMIG_OK; k++) {
        if (!parts[k].sample)
            continue;
        code = add_vms(&parts[k], into, error);
        if (code == IMIG_OK)
            code = add_relations(&parts[k], into, error);
    }
    return code;
}

/* Once everybody has answered, a capacity of nobody is a slip of the pen. */
static int
check_capacities(imig_connection *connection, const part *parts, GHashTable *entries,
                 imig_error **error)
{
    int code;

    if (!connection->capacities || connection->capacities_known)
        return IMIG_OK;
    for (size_t k = 0; k < connection->member_count; k++)
        if (!parts[k].sample)
            return IMIG_OK;
    code = imig__capacities_check(connection->capacities, entries, error);
    if (code != IMIG_OK)
        imig__error_prefix(error, "host capacities");
    connection->capacities_known = code == IMIG_OK;
    return code;
}

/* For the time when a member is missing. */
static void
remember(const part *p)
{
    if (!p->sample)
        return;
    imig_cluster_unref(p->member->last);
    p->member->last = imig_cluster_ref(p->sample->cluster);
}

int
imig__connection_sample(imig_connection *connection, imig_sample **ret_sample, imig_error **error)
{
    size_t n = connection->member_count;
    part *parts = g_new0(part, n);
    GHashTable *entries = imig__hosts_new();
    double now_s = imig_connection_clock(connection);
    imig_sample *sample = NULL;
    int code = sample_members(connection, parts, now_s, error);

    if (code == IMIG_OK)
        code = enter_all_hosts(connection, parts, entries, error);
    if (code == IMIG_OK)
        code = check_capacities(connection, parts, entries, error);
    if (code == IMIG_OK && n == 1 && !parts[0].member->id && !connection->capacities) {
        sample = g_steal_pointer(&parts[0].sample);
        for (size_t i = 0; i < sample->cluster->vm_count; i++)
            set_times(parts[0].member, &sample->cluster->vms[i], &sample->counters[i]);
    } else if (code == IMIG_OK) {
        sample = imig__sample_new(now_s);
        code = merge(connection, parts, entries, sample, error);
    }
    for (size_t k = 0; k < n; k++) {
        if (code == IMIG_OK && n > 1)
            remember(&parts[k]);
        imig__sample_free(parts[k].sample);
        imig_error_free(parts[k].error);
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

int
imig_connection_set_capacities(imig_connection *connection, const char *text, size_t length,
                               imig_error **error)
{
    imig__capacities *capacities;
    int code;

    if (!connection || !text)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "%s is NULL",
                          connection ? "text" : "connection");
    code = imig__capacities_from_json(text, length, &capacities, error);
    if (code != IMIG_OK)
        return code;
    imig__capacities_free(connection->capacities);
    connection->capacities = capacities;
    connection->capacities_known = FALSE;
    return IMIG_OK;
}
