import sys
import urllib.request

for body in (None, b"x" * 20000):
    with urllib.request.urlopen(sys.argv[1], data=body) as reply:
        print(reply.status, reply.read().decode().strip())
