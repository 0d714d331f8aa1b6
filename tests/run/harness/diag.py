"""What the kernel knows of a connection of this machine, by sock_diag(7): cheap however many sockets there are."""
import socket
import struct

NETLINK_SOCK_DIAG, SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, NLMSG_ERROR = 4, 20, 1, 2
ANY_COOKIE = b"\xff" * 8


def _ask(family, local, remote):
    """The inet_diag_msg of the TCP socket with these ends; None when there is none."""
    ends = struct.pack("!HH", local[1], remote[1])
    ends += b"".join(socket.inet_pton(family, end[0]).ljust(16, b"\0") for end in (local, remote))
    body = struct.pack("=BBBBI", family, socket.IPPROTO_TCP, 0, 0, 0xffffffff) + ends
    body += struct.pack("=I", 0) + ANY_COOKIE
    head = struct.pack("=IHHII", 16 + len(body), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG) as link:
        link.settimeout(2)
        link.send(head + body)
        answer = link.recv(8192)
    if struct.unpack_from("=H", answer, 4)[0] == NLMSG_ERROR:
        return None
    return answer[16:]


def unread(family, local, remote):
    """Bytes in the receive queue of the socket at `local` whose peer is `remote`; None when it is gone."""
    found = _ask(family, local, remote)
    return struct.unpack_from("=I", found, 56)[0] if found else None


def timer(family, local, remote):
    """(kind, milliseconds) of its timer: kind 2 is keepalive; None when it is gone."""
    found = _ask(family, local, remote)
    if not found:
        return None
    kind, expires = found[2], struct.unpack_from("=I", found, 52)[0]
    return kind, expires
