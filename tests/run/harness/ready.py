"""select() without its limit of 1,024 descriptors: many tests run in one process."""
import select as _select


def select(reads, writes, _errors, seconds=None):
    """As select.select(), of sockets."""
    poll = _select.poll()
    for sock in reads:
        poll.register(sock, _select.POLLIN)
    for sock in writes:
        poll.register(sock, _select.POLLOUT)
    found = {fd for fd, _ in poll.poll(None if seconds is None else max(0, seconds * 1000))}
    return [s for s in reads if _fd(s) in found], [s for s in writes if _fd(s) in found], []


def _fd(sock):
    return sock if isinstance(sock, int) else sock.fileno()
