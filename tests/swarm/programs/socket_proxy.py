"""Stands for wollomatic/socket-proxy in the tests: a Unix socket before the engine's, through which GETs of the listed paths pass, and
nothing else. One request to a connection. What it refuses it prints. When it is told to end it first removes the file at PATH, whosever that is
by then, as a listener of Go does; requests under way have -shutdowngracetime seconds more.

    socket_proxy.py -proxysocketendpoint=PATH -proxysocketendpointfilemode=0600 -shutdowngracetime=1 -allowGET=REGEX …"""
import os
import re
import signal
import socket
import sys
import threading
import time

ENGINE = "/var/run/docker.sock"
OPTIONS = dict(word.lstrip("-").split("=", 1) for word in sys.argv[1:])
ALLOWED = re.compile(OPTIONS["allowGET"])
HEAD_MAX = 65536


def read_head(client):
    head = b""
    while b"\r\n\r\n" not in head and len(head) < HEAD_MAX:
        data = client.recv(4096)
        if not data:
            break
        head += data
    return head


def relay(client, head):
    with socket.socket(socket.AF_UNIX) as engine:
        engine.connect(ENGINE)
        engine.sendall(head)
        while True:
            data = engine.recv(65536)
            if not data:
                return
            client.sendall(data)


def serve(client):
    with client:
        head = read_head(client)
        words = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
        try:
            if len(words) == 3 and words[0] == "GET" and ALLOWED.fullmatch(words[1].split("?")[0]):
                relay(client, head)
            else:
                print("refused", " ".join(words), flush=True)
                client.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        except OSError:
            pass  # either end left


def end(path):
    if os.path.exists(path):
        os.unlink(path)
    limit = time.monotonic() + float(OPTIONS.get("shutdowngracetime", "10"))
    while threading.active_count() > 1 and time.monotonic() < limit:
        time.sleep(0.05)
    os._exit(0)


def main():
    path = OPTIONS["proxysocketendpoint"]
    signal.signal(signal.SIGTERM, lambda *_: end(path))
    if os.path.exists(path):
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    os.chmod(path, int(OPTIONS["proxysocketendpointfilemode"], 8))
    listener.listen(64)
    print("listens at", path, flush=True)
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()


if __name__ == "__main__":
    main()
