/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backend/libvirt-priv.h"

#include <libxml/xpath.h>
#include <stdlib.h>
#include <string.h>

/* Devices are plugged and jobs begin without a word to us. */
static const gint64 READ_AGAIN_US = 30 * G_USEC_PER_SEC;
static const unsigned long long HANGS_MS = 3000;
static const gint64 FORGET_US = 600 * G_USEC_PER_SEC;

/* What keeps a VM where it is, by what its definition shows. */
static const struct {
    const char *xpath, *blocked;
} obstacles[] = {
    { "/domain/devices/hostdev", "passthrough-device" },
    { "/domain/devices/interface[@type='hostdev']", "passthrough-device" },
    { "/domain/devices/filesystem", "host-filesystem" },
    { "/domain/devices/shmem", "shared-memory-device" },
    { "/domain/launchSecurity", "encrypted-memory" },
    { "/domain/devices/disk/mirror", "block-job" },
};

/* Pools of storage that every host can see, by type. */
static const char *const shared_pools[] = {
    "netfs", "iscsi", "iscsi-direct", "mpath", "rbd", "sheepdog", "gluster", "vstorage",
};

void
lv_facts_free(void *data)
{
    lv_facts *facts = data;

    free(facts->cpu);
    g_strfreev(facts->host_view);
    g_hash_table_unref(facts->shared);
    g_hash_table_unref(facts->bytes);
    g_free(facts);
}

/* The nodes an XPath finds; NULL where there are none. */
static xmlXPathObjectPtr
find(xmlXPathContextPtr context, const char *xpath)
{
    xmlXPathObjectPtr found = xmlXPathEvalExpression((const xmlChar *) xpath, context);

    if (found && found->type == XPATH_NODESET && !xmlXPathNodeSetIsEmpty(found->nodesetval))
        return found;
    xmlXPathFreeObject(found);
    return NULL;
}

static double
number(xmlXPathContextPtr context, const char *xpath)
{
    xmlXPathObjectPtr found = xmlXPathEvalExpression((const xmlChar *) xpath, context);
    double value = found ? xmlXPathCastToNumber(found) : 0;

    xmlXPathFreeObject(found);
    return value > 0 ? value : 0; /* NaN, too */
}

/* An attribute of the first child element with this name, g_free() it; NULL: none. */
static char *
child_attribute(xmlNodePtr node, const char *child, const char *attribute)
{
    for (xmlNodePtr c = node->children; c; c = c->next) {
        xmlChar *value;
        char *copy;

        if (c->type != XML_ELEMENT_NODE || strcmp((const char *) c->name, child) != 0)
            continue;
        value = xmlGetProp(c, (const xmlChar *) attribute);
        copy = g_strdup((const char *) value);
        xmlFree(value);
        return copy;
    }
    return NULL;
}

static gboolean
has_child(xmlNodePtr node, const char *child)
{
    for (xmlNodePtr c = node->children; c; c = c->next)
        if (c->type == XML_ELEMENT_NODE && strcmp((const char *) c->name, child) == 0)
            return TRUE;
    return FALSE;
}

/* Does this pool take its storage from where other hosts have it, too?  Frees the pool. */
static gboolean
is_shared_pool(virStoragePoolPtr pool)
{
    char *xml = pool ? virStoragePoolGetXMLDesc(pool, 0) : NULL;
    char *type = xml ? lv_xml_text(xml, "/pool/@type") : NULL;
    gboolean shared = FALSE;

    for (size_t i = 0; type && i < G_N_ELEMENTS(shared_pools); i++)
        shared |= strcmp(type, shared_pools[i]) == 0;
    free(type);
    free(xml);
    if (pool)
        virStoragePoolFree(pool);
    return shared;
}

/* A file or a device, by the pool that it is a volume of; one of no pool is its host's alone. */
static gboolean
in_shared_pool(virConnectPtr connection, const char *path)
{
    virStorageVolPtr volume = virStorageVolLookupByPath(connection, path);
    gboolean shared;

    if (!volume)
        return FALSE;
    shared = is_shared_pool(virStoragePoolLookupByVolume(volume));
    virStorageVolFree(volume);
    return shared;
}

static gboolean
is_shared(virConnectPtr connection, xmlNodePtr disk)
{
    xmlChar *type = xmlGetProp(disk, (const xmlChar *) "type");
    const char *kind = type ? (const char *) type : "";
    gboolean by_path = strcmp(kind, "file") == 0 || strcmp(kind, "block") == 0;
    gboolean by_pool = strcmp(kind, "volume") == 0;
    gboolean shared = strcmp(kind, "network") == 0 || has_child(disk, "shareable");
    char *source = by_pool ? child_attribute(disk, "source", "pool")
                   : by_path ? child_attribute(disk, "source", kind[0] == 'f' ? "file" : "dev")
                             : NULL;

    if (!shared && source)
        shared = by_pool ? is_shared_pool(virStoragePoolLookupByName(connection, source))
                         : in_shared_pool(connection, source);
    g_free(source);
    xmlFree(type);
    return shared;
}

static void
read_disks(lv_facts *facts, xmlXPathContextPtr context, virConnectPtr connection)
{
    xmlXPathObjectPtr found = find(context, "/domain/devices/disk[source and not(readonly) and "
                                            "(not(@device) or @device='disk' or @device='lun')]");

    for (int i = 0; found && i < found->nodesetval->nodeNr; i++) {
        xmlNodePtr disk = found->nodesetval->nodeTab[i];
        char *target = child_attribute(disk, "target", "dev");

        if (target)
            g_hash_table_insert(facts->shared, target,
                                GINT_TO_POINTER(is_shared(connection, disk) ? 1 : 2));
    }
    xmlXPathFreeObject(found);
}

/* libvirt gives the counters of most devices as the VM sees them, of these as the host does. */
static void
read_interfaces(lv_facts *facts, xmlXPathContextPtr context)
{
    xmlXPathObjectPtr found = find(context, "/domain/devices/interface[@type='ethernet']");
    GPtrArray *names = g_ptr_array_new();

    for (int i = 0; found && i < found->nodesetval->nodeNr; i++) {
        char *name = child_attribute(found->nodesetval->nodeTab[i], "target", "dev");

        if (name)
            g_ptr_array_add(names, name);
    }
    g_ptr_array_add(names, NULL);
    facts->host_view = (char **) g_ptr_array_free(names, FALSE);
    xmlXPathFreeObject(found);
}

static gboolean
is_there(xmlXPathContextPtr context, const char *xpath)
{
    xmlXPathObjectPtr found = find(context, xpath);
    gboolean there = found != NULL;

    xmlXPathFreeObject(found);
    return there;
}

/* Asking about jobs waits half a minute for a hypervisor that hangs; asking this never waits. */
static gboolean
hypervisor_hangs(virDomainPtr domain)
{
    virDomainControlInfo control = { .state = VIR_DOMAIN_CONTROL_OK };

    return virDomainGetControlInfo(domain, &control, 0) == 0
           && (control.state == VIR_DOMAIN_CONTROL_ERROR
               || (control.state == VIR_DOMAIN_CONTROL_OCCUPIED && control.stateTime > HANGS_MS));
}

int
lv_operation(virDomainPtr domain)
{
    virTypedParameterPtr params = NULL;
    int n = 0, type = VIR_DOMAIN_JOB_NONE, operation = VIR_DOMAIN_JOB_OPERATION_UNKNOWN;

    if (hypervisor_hangs(domain))
        return VIR_DOMAIN_JOB_OPERATION_UNKNOWN;
    if (virDomainGetJobStats(domain, &type, &params, &n, 0) < 0) {
        const virError *e = virGetLastError();

        /* Of a job that brings it here there are none.  Drivers without jobs say so otherwise. */
        return e && e->code == VIR_ERR_OPERATION_INVALID ? VIR_DOMAIN_JOB_OPERATION_MIGRATION_IN
                                                         : -1;
    }
    virTypedParamsGetInt(params, n, VIR_DOMAIN_JOB_OPERATION, &operation);
    virTypedParamsFree(params, n);
    return type == VIR_DOMAIN_JOB_NONE ? -1 : operation;
}

static const char *
job_of(virDomainPtr domain)
{
    switch (lv_operation(domain)) {
    case -1: return NULL;
    case VIR_DOMAIN_JOB_OPERATION_BACKUP: return "backup-job";
    case VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT: return "being-migrated";
    default: return "other-job";
    }
}

static lv_facts *
parse(const char *xml, virConnectPtr connection)
{
    xmlDocPtr doc = xmlReadMemory(xml, (int) strlen(xml), NULL, NULL,
                                  XML_PARSE_NOERROR | XML_PARSE_NOWARNING | XML_PARSE_NONET);
    xmlXPathContextPtr context = doc ? xmlXPathNewContext(doc) : NULL;
    lv_facts *facts = g_new0(lv_facts, 1);

    facts->shared = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    facts->bytes = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    if (context) {
        facts->vcpus = (uint32_t) number(context, "/domain/vcpu");
        facts->memory_bytes = number(context, "/domain/memory") * 1024;
        facts->emulated = is_there(context, "/domain[@type='qemu']");
        facts->passes_cpu = is_there(context, "/domain/cpu[@mode='host-passthrough' or "
                                              "@mode='maximum']");
        for (size_t i = 0; i < G_N_ELEMENTS(obstacles) && !facts->blocked; i++)
            if (is_there(context, obstacles[i].xpath))
                facts->blocked = obstacles[i].blocked;
        read_disks(facts, context, connection);
        read_interfaces(facts, context);
    }
    facts->cpu = lv_xml_text(xml, "/domain/cpu");
    xmlXPathFreeContext(context);
    xmlFreeDoc(doc);
    return facts;
}

lv_facts *
lv_facts_read(virConnectPtr connection, virDomainPtr domain, lv_failure *failure)
{
    lv_facts *facts;
    char *xml = virDomainGetXMLDesc(domain, 0);

    if (!xml) {
        lv_failure_take(failure, "reading a definition");
        return NULL;
    }
    facts = parse(xml, connection);
    free(xml);
    facts->domain_id = (int) virDomainGetID(domain);
    facts->read_us = g_get_monotonic_time();
    if (!facts->blocked)
        facts->blocked = job_of(domain);
    return facts;
}

lv_facts *
lv_facts_get(lv_session *session, virDomainPtr domain, const char *uuid, gboolean fresh,
             lv_failure *failure)
{
    lv_facts *facts = g_hash_table_lookup(session->facts, uuid), *old = facts;

    if (facts && !fresh && facts->domain_id == (int) virDomainGetID(domain)
        && g_get_monotonic_time() - facts->read_us < READ_AGAIN_US)
        return facts;
    facts = lv_facts_read(session->connection, domain, failure);
    if (!facts)
        return NULL;
    if (old) {
        g_hash_table_unref(facts->bytes);
        facts->bytes = g_hash_table_ref(old->bytes);
    }
    g_hash_table_replace(session->facts, g_strdup(uuid), facts);
    return facts;
}

static gboolean
is_old(void *uuid, void *facts, void *now_us)
{
    (void) uuid;
    return *(const gint64 *) now_us - ((const lv_facts *) facts)->read_us > FORGET_US;
}

void
lv_facts_forget(lv_session *session)
{
    gint64 now_us = g_get_monotonic_time();

    g_hash_table_foreach_remove(session->facts, is_old, &now_us);
}
