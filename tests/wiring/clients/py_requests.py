import sys

import requests

with requests.Session() as session:
    for reply in (session.get(sys.argv[1]), session.post(sys.argv[1], data="x" * 20000)):
        print(reply.status_code, reply.text.strip())
