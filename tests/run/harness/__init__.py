"""Outrider's run tests: both ends of a dialogue are scripted in one place.

    wire.py     one end of a connection: bytes out, bytes in, and the fault verbs
    message.py  a strict reader of HTTP/1 messages, so that a cut reply is never taken for a whole one
    diag.py     what the kernel knows of a connection: bytes unread at the peer, its timer
    origin.py   a listening peer: accept, refuse, stall, reset
    agent.py    the process under test: options, readiness, exit status, sanitizer reports
    case.py     what a test function gets as `t`: makes all of these and ends them
    table.py    reasons.def and options.def as the agent's build reads them
    config.py   what tests of live configuration share: traffic, and what is in force
    certs.py    certificates for TLS peers
    redis.py    a real redis-server
    consul.py   a scripted Consul agent
"""
