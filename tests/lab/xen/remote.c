/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What this laboratory has in place of ssh.
 *
 *   remote serve PORT                  runs what clients ask for, as the user it runs as
 *   remote HOST[:PORT] COMMAND...      runs words, joined by blanks, through the shell there
 *
 * Input, output and errors are carried, in both directions at once and to their ends, and so is
 * the exit status (255: no connection, or it broke).  A client that is killed takes its command
 * with it.  Options that ssh has are skipped, and USER@ and ssh:// too, so that the same program
 * stands where "xl migrate" and imig start ssh by that name.
 *
 * On the wire: one byte that says what, four bytes of length (big-endian), the content.  Client:
 * 'c' command, 'i' input (empty: it ended).  Server: 'o' output, 'e' errors, 'x' exit status.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CHUNK = 65536, BROKEN = 255 };

/* Both directions have a thread of their own, so neither can hold up the other. */
static int line;                /* the socket */
static int child_input = -1;    /* server: what the command reads */
static pid_t child;

static int
write_all(int to, const void *from, size_t length)
{
    const char *at = from;

    while (length > 0) {
        ssize_t n = write(to, at, length);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        at += n;
        length -= (size_t) n;
    }
    return 0;
}

static int
read_all(int from, void *into, size_t length)
{
    char *at = into;

    while (length > 0) {
        ssize_t n = read(from, at, length);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        at += n;
        length -= (size_t) n;
    }
    return 0;
}

static int
send_frame(char what, const void *content, size_t length)
{
    static char frame[2][5 + CHUNK];    /* by direction: 'i' has its own thread in the client */
    char *out = frame[what == 'i'];
    uint32_t size = htonl((uint32_t) length);

    out[0] = what;
    memcpy(out + 1, &size, sizeof size);
    memcpy(out + 5, content, length);
    return write_all(line, out, 5 + length);
}

/* At most CHUNK bytes; returns how many, or -1. */
static ssize_t
receive_frame(char *what, char *content)
{
    unsigned char head[5];
    uint32_t size;

    if (read_all(line, head, sizeof head))
        return -1;
    memcpy(&size, head + 1, sizeof size);
    size = ntohl(size);
    if (size > CHUNK || read_all(line, content, size))
        return -1;
    *what = (char) head[0];
    return (ssize_t) size;
}

/* ---- server ---- */

static void *
feed_command(void *unused)
{
    static char content[CHUNK];
    char what;
    ssize_t n;

    while ((n = receive_frame(&what, content)) >= 0) {
        if (what != 'i' || child_input < 0)
            continue;
        /* A command that does not read to the end is no failure. */
        if (n == 0 || write_all(child_input, content, (size_t) n)) {
            close(child_input);
            child_input = -1;
        }
    }
    kill(-child, SIGHUP);
    if (child_input >= 0)
        close(child_input);
    return unused;
}

/* Passes on what can be read now; 0 when there will be no more. */
static int
pass_on(char what, int from)
{
    static char content[CHUNK];
    ssize_t n = read(from, content, sizeof content);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 1;
    return n > 0 && send_frame(what, content, (size_t) n) == 0;
}

static void
run_command(const char *command)
{
    int in[2], out[2], err[2], status = 0;
    unsigned char code;
    pthread_t feeder;

    if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC))
        exit(1);
    child = fork();
    if (child == 0) {
        setsid();
        dup2(in[0], 0);
        dup2(out[1], 1);
        dup2(err[1], 2);
        signal(SIGPIPE, SIG_DFL);
        execl("/bin/sh", "sh", "-c", command, (char *) NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    close(err[1]);
    fcntl(out[0], F_SETFL, O_NONBLOCK);
    fcntl(err[0], F_SETFL, O_NONBLOCK);
    child_input = in[1];
    if (child < 0 || pthread_create(&feeder, NULL, feed_command, NULL))
        exit(1);

    struct pollfd at[3] = { { out[0], POLLIN, 0 }, { err[0], POLLIN, 0 },
                            { (int) syscall(SYS_pidfd_open, child, 0), POLLIN, 0 } };
    /* The end of the command counts, not that of its output, which a process that it left in
     * the background may hold. */
    while (!at[2].revents) {
        if (poll(at, 3, -1) < 0)
            continue;
        for (int i = 0; i < 2; i++)
            if (at[i].revents && !pass_on("oe"[i], at[i].fd))
                at[i].fd = -1;
    }
    for (int i = 0; i < 2; i++) {
        struct pollfd rest = { at[i].fd, POLLIN, 0 };

        while (rest.fd >= 0 && poll(&rest, 1, 0) > 0 && pass_on("oe"[i], rest.fd))
            ;
    }
    waitpid(child, &status, 0);
    code = (unsigned char) (WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    send_frame('x', &code, 1);
}

static int
serve(int port)
{
    struct sockaddr_in here = { .sin_family = AF_INET, .sin_port = htons((uint16_t) port) };
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;
    static char command[CHUNK + 1];
    char what;
    ssize_t n;

    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, SIG_IGN);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(listener, (struct sockaddr *) &here, sizeof here) || listen(listener, 64)) {
        perror("remote");
        return 1;
    }
    for (;;) {
        line = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (line < 0)
            continue;
        if (fork() == 0) {
            signal(SIGCHLD, SIG_DFL);
            setsockopt(line, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
            n = receive_frame(&what, command);
            if (n > 0 && what == 'c') {
                command[n] = '\0';
                run_command(command);
            }
            exit(0);
        }
        close(line);
    }
}

/* ---- client ---- */

static void *
send_input(void *unused)
{
    static char content[CHUNK];
    ssize_t n;

    do {
        n = read(0, content, sizeof content);
        if (n < 0 && errno == EINTR)
            continue;
        if (send_frame('i', content, n > 0 ? (size_t) n : 0))
            break;
    } while (n > 0);
    return unused;
}

static int
connect_to(char *host)
{
    struct addrinfo hints = { .ai_family = AF_INET, .ai_socktype = SOCK_STREAM }, *found;
    char *port, *user;
    int yes = 1, s;

    if (strncmp(host, "ssh://", 6) == 0)
        host += 6;
    user = strrchr(host, '@');
    if (user)
        host = user + 1;
    port = strchr(host, ':');
    if (port)
        *port++ = '\0';
    if (getaddrinfo(host, port ? port : "7000", &hints, &found)) {
        fprintf(stderr, "remote: no host %s\n", host);
        return -1;
    }
    s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(s, found->ai_addr, found->ai_addrlen)) {
        fprintf(stderr, "remote: %s: %s\n", host, strerror(errno));
        return -1;
    }
    setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    return s;
}

static int
call(char *host, char **words)
{
    static char content[CHUNK];
    size_t length = 0;
    pthread_t sender;
    char what;
    ssize_t n;

    for (; *words; words++) {
        size_t word = strlen(*words);

        if (length + word + 1 > sizeof content)
            return BROKEN;
        memcpy(content + length, *words, word);
        length += word;
        content[length++] = ' ';
    }
    signal(SIGPIPE, SIG_IGN);
    line = connect_to(host);
    if (line < 0 || send_frame('c', content, length)
        || pthread_create(&sender, NULL, send_input, NULL))
        return BROKEN;
    while ((n = receive_frame(&what, content)) >= 0) {
        if (what == 'x' && n == 1)
            return (unsigned char) content[0];
        /* Nobody reads any more: the command there shall get to know. */
        if (write_all(what == 'e' ? 2 : 1, content, (size_t) n) && what != 'e')
            return BROKEN;
    }
    fprintf(stderr, "remote: the connection to %s broke\n", host);
    return BROKEN;
}

int
main(int argc, char **argv)
{
    int i = 1;

    if (argc == 3 && strcmp(argv[1], "serve") == 0)
        return serve(atoi(argv[2]));
    for (; i < argc && argv[i][0] == '-'; i++)
        i += strchr("oplIiFbcDEeJLmOQRSWw", argv[i][1]) && argv[i][1] && !argv[i][2];
    if (argc - i < 2) {
        fputs("usage: remote serve PORT | remote HOST[:PORT] COMMAND...\n", stderr);
        return BROKEN;
    }
    exit(call(argv[i], argv + i + 1));
}
