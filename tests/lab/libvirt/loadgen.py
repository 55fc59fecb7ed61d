# SPDX-License-Identifier: LGPL-2.1-or-later
"""The world outside the hosts: drives guests over the network and listens to their reports.

usage: loadgen.py SOCKET
Runs in a network namespace at the lab's switch.  Takes one JSON object per connection to the
unix socket SOCKET, answers with one:
  {"do": "send",  "to": NAME, "ip": IP, "mb_s": RATE}                   stream to net-receive
  {"do": "fetch", "to": NAME, "ip": IP, "mb_s": RATE, "page_kb": SIZE}  read from web-server
  {"do": "stop",  "to": NAME}
  {"do": "work"}    what every guest reported, and what was sent to it or fetched from it
"""

import json
import os
import socket
import sys
import threading
import time

REPORT_PORT, WORK_PORT = 9000, 8000
MB = 1048576

guests = {}     # name -> what its reports say
streams = {}    # name -> Stream


def hear(name, boot, work, errors):
    now = time.monotonic()
    guest = guests.setdefault(name, {"boot": boot, "boots": 1, "work": work, "went_back": 0,
                                     "errors": 0, "longest_silence_s": 0.0, "heard": now})
    if boot != guest["boot"]:
        guest["boots"] += 1
    elif work < guest["work"]:
        guest["went_back"] += 1
    silence = now - guest["heard"]
    guest.update(boot=boot, work=work, errors=errors, heard=now,
                 longest_silence_s=max(silence, guest["longest_silence_s"]))


def listen_to_guests():
    reports = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    reports.bind(("", REPORT_PORT))
    while True:
        words = reports.recv(500).decode(errors="replace").split()
        if len(words) == 4:
            hear(words[0], words[1], int(words[2]), int(words[3]))


class Stream(threading.Thread):
    """Keeps one connection to a guest busy, through migrations and outages, until stopped."""

    def __init__(self, ip, mb_s, page_kb=0):
        super().__init__(daemon=True)
        self.ip, self.rate, self.page = ip, mb_s * MB, page_kb * 1024
        self.moved, self.connects, self.stopped = 0, 0, False

    def run(self):
        while not self.stopped:
            try:
                with socket.create_connection((self.ip, WORK_PORT), timeout=5) as s:
                    self.connects += 1
                    self.pump(s)
            except OSError:
                time.sleep(0.2)

    def pump(self, s):
        begin, done = time.monotonic(), 0
        block = bytes(65536)
        while not self.stopped:
            if self.page:
                done += self.fetch(s, block)
            else:
                s.sendall(block)
                done += len(block)
                self.moved += len(block)
            ahead = begin + done / self.rate - time.monotonic() if self.rate > 0 else 0
            if ahead < -0.2:        # it stood still: go on from here, no burst to catch up
                begin, done = time.monotonic(), 0
            elif ahead > 0.002:
                time.sleep(ahead)

    def fetch(self, s, request):
        s.sendall(request[:1])
        left = self.page
        while left:
            got = len(s.recv(min(left, 65536)))
            if not got:
                raise ConnectionError("the guest hung up")
            left -= got
            self.moved += got
        return self.page


def obey(order):
    what, to = order["do"], order.get("to")
    if what == "work":
        now = time.monotonic()
        answer = {}
        for name, guest in list(guests.items()):
            answer[name] = {k: v for k, v in guest.items() if k != "heard"}
            answer[name]["silent_s"] = round(now - guest["heard"], 3)
            if name in streams:
                answer[name]["moved_bytes"] = streams[name].moved
                answer[name]["connects"] = streams[name].connects
        return answer
    if to in streams:
        streams.pop(to).stopped = True
    if what == "stop":
        guests.pop(to, None)
    else:
        streams[to] = Stream(order["ip"], order["mb_s"], order.get("page_kb", 0))
        streams[to].start()
    return {}


def main(path):
    threading.Thread(target=listen_to_guests, daemon=True).start()
    orders = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    orders.bind(path + ".new")
    orders.listen(16)
    os.rename(path + ".new", path)      # there, and ready
    while True:
        connection, _ = orders.accept()
        with connection, connection.makefile("rw") as lines:
            try:
                lines.write(json.dumps(obey(json.loads(lines.readline()))) + "\n")
                lines.flush()
            except (OSError, ValueError, KeyError) as error:
                print(f"loadgen: {error!r}", file=sys.stderr)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
