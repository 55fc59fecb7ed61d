/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backend/libvirt-priv.h"

#include <libxml/xpath.h>
#include <stdlib.h>
#include <string.h>

/* A daemon that has not answered for the product of these is given up by libvirt itself. */
enum { KEEPALIVE_S = 5, KEEPALIVE_COUNT = 3 };

static const double bytes_per_mbit = 125000;

/* Without this ssh asks for a password at the terminal, from a thread that nobody knows of. */
static char *
without_terminal(const char *uri)
{
    const char *scheme_end = strstr(uri, "://");
    const char *ssh = strstr(uri, "+ssh");

    if (!scheme_end || !ssh || ssh > scheme_end || strstr(uri, "no_tty="))
        return g_strdup(uri);
    return g_strconcat(uri, strchr(uri, '?') ? "&" : "?", "no_tty=1", NULL);
}

static void *
run_loop(void *unused)
{
    (void) unused;
    for (;;)
        if (virEventRunDefaultImpl() < 0)
            lv_log(IMIG_LOG_WARNING, "libvirt's event loop: %s", virGetLastErrorMessage());
    return NULL;
}

void
lv_loop_start(void)
{
    static gsize started;

    if (lv_api->process & IMIG_PROCESS_HAS_EVENT_LOOP || !g_once_init_enter(&started))
        return;
    if (virEventRegisterDefaultImpl() != 0 || !lv_thread("imig-libvirt", run_loop, NULL))
        lv_log(IMIG_LOG_WARNING, "libvirt's event loop: %s", virGetLastErrorMessage());
    g_once_init_leave(&started, 1);
}

/* Credentials come from libvirt's own configuration; nobody is asked. */
static int
no_answer(virConnectCredentialPtr credentials, unsigned int n, void *user_data)
{
    (void) credentials;
    (void) n;
    (void) user_data;
    return -1;
}

virConnectPtr
lv_connect(const char *uri, lv_failure *failure)
{
    static int kinds[] = {
        VIR_CRED_USERNAME, VIR_CRED_AUTHNAME, VIR_CRED_PASSPHRASE, VIR_CRED_NOECHOPROMPT,
        VIR_CRED_ECHOPROMPT, VIR_CRED_REALM,
    };
    virConnectAuth auth = {
        .credtype = kinds, .ncredtype = G_N_ELEMENTS(kinds), .cb = no_answer,
    };
    char *quiet_uri = without_terminal(uri);
    virConnectPtr connection = virConnectOpenAuth(quiet_uri, &auth, 0);

    g_free(quiet_uri);

    if (!connection) {
        lv_failure_take(failure, "cannot connect");
        failure->lost = TRUE;
        /* All that a host says where it does not like us is to hang up. */
        if (strstr(failure->message, "TLS confirmation"))
            g_strlcat(failure->message, "; the host may have refused our certificate",
                      sizeof failure->message);
        return NULL;
    }
    lv_keep_quiet(connection);
    /* Drivers without a daemon have none, and need none. */
    virConnectSetKeepAlive(connection, KEEPALIVE_S, KEEPALIVE_COUNT);
    return connection;
}

char *
lv_xml_text(const char *xml, const char *xpath)
{
    xmlDocPtr doc = xmlReadMemory(xml, (int) strlen(xml), NULL, NULL,
                                  XML_PARSE_NOERROR | XML_PARSE_NOWARNING | XML_PARSE_NONET);
    xmlXPathContextPtr context = doc ? xmlXPathNewContext(doc) : NULL;
    xmlXPathObjectPtr found = context ? xmlXPathEvalExpression((const xmlChar *) xpath, context)
                                      : NULL;
    char *text = NULL;

    if (found && found->type == XPATH_NODESET && !xmlXPathNodeSetIsEmpty(found->nodesetval)) {
        xmlNodePtr node = found->nodesetval->nodeTab[0];

        if (node->type == XML_ELEMENT_NODE) {
            xmlBufferPtr buffer = xmlBufferCreate();

            xmlNodeDump(buffer, doc, node, 0, 0);
            text = strdup((const char *) xmlBufferContent(buffer));
            xmlBufferFree(buffer);
        } else {
            text = (char *) xmlNodeGetContent(node);
        }
    }
    xmlXPathFreeObject(found);
    xmlXPathFreeContext(context);
    xmlFreeDoc(doc);
    return text;
}

/* Mbit/s of a network device that carries something; 0: none, or not known. */
static double
device_speed(virNodeDevicePtr device)
{
    char *xml = virNodeDeviceGetXMLDesc(device, 0);
    char *speed, *parent;
    double mbit = 0;

    if (!xml)
        return 0;
    speed = lv_xml_text(xml, "/device/capability/link[@state='up']/@speed");
    parent = lv_xml_text(xml, "/device/parent/text()");
    if (speed && g_strcmp0(parent, "computer") != 0) /* that is where bridges and taps hang */
        mbit = g_ascii_strtod(speed, NULL);
    free(speed);
    free(parent);
    free(xml);
    return mbit > 0 ? mbit : 0;
}

/* The fastest device of the host; hosts do not say which of them VMs and migrations use. */
static double
learn_net(virConnectPtr connection)
{
    virNodeDevicePtr *devices = NULL;
    int n = virConnectListAllNodeDevices(connection, &devices,
                                         VIR_CONNECT_LIST_NODE_DEVICES_CAP_NET);
    double most = 0;

    for (int i = 0; i < n; i++) {
        most = MAX(most, device_speed(devices[i]));
        virNodeDeviceFree(devices[i]);
    }
    free(devices);
    return most * bytes_per_mbit;
}

static char *
learn_cpu(virConnectPtr connection)
{
    char *xml = virConnectGetCapabilities(connection);
    char *cpu = xml ? lv_xml_text(xml, "/capabilities/host/cpu") : NULL;

    free(xml);
    return cpu;
}

static gboolean
learn(lv_session *session, lv_failure *failure)
{
    virNodeInfo node;
    const char *type;

    session->hostname = virConnectGetHostname(session->connection);
    if (!session->hostname || virNodeGetInfo(session->connection, &node) < 0
        || !(type = virConnectGetType(session->connection))) {
        lv_failure_take(failure, "asking about the host");
        return FALSE;
    }
    session->hypervisor = g_ascii_strdown(type, -1);
    session->cpu_cores = node.cpus;
    session->memory_bytes = (double) node.memory * 1024;
    session->net_bytes_per_s = learn_net(session->connection);
    session->host_cpu = learn_cpu(session->connection);
    return TRUE;
}

lv_session *
lv_session_open(const char *uri, lv_failure *failure)
{
    lv_session *session = g_new0(lv_session, 1);

    session->refs = 1;
    session->facts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, lv_facts_free);
    session->connection = lv_connect(uri, failure);
    if (session->connection && learn(session, failure))
        return session;
    lv_session_unref(session);
    return NULL;
}

lv_session *
lv_session_ref(lv_session *session)
{
    g_atomic_int_inc(&session->refs);
    return session;
}

static void *
close_connection(void *connection)
{
    virConnectClose(connection);
    return NULL;
}

void
lv_session_unref(lv_session *session)
{
    if (!session || !g_atomic_int_dec_and_test(&session->refs))
        return;
    if (session->connection && !lv_thread("imig-close", close_connection, session->connection))
        lv_log(IMIG_LOG_WARNING, "a connection to libvirt stays open: no thread to close it");
    g_hash_table_unref(session->facts);
    g_free(session->hypervisor);
    free(session->hostname);
    free(session->host_cpu);
    g_free(session);
}
