"""The table that started this product: a plain Go handler, at rest and at 1,000 requests/s, without and with its sidecar."""
import gatling
from estate import FULL, estate
from harness.case import Skip
from swarm import until

RUNNING = ("swarm",)


def test_a_go_handler(_t, swarm):
    """Gatling's requests all succeed, plain and through the sidecar; memory by docker stats; its reports are kept in build/gatling"""
    e = estate(swarm)
    try:
        handler = gatling.go_handler()
        gatling.fetch()
    except gatling.Missing as why:
        raise Skip(str(why)) from None
    swarm.image("account:1", {"/account": handler}, 'ENTRYPOINT ["/account"]')
    container = swarm.docker(2, "run", "-d", "--name", "account", "--network", "outrider", "-e", "OUTRIDER_PORT=6767", "account:1")
    try:
        until("its sidecar", lambda: any(s["container"] == "account" and s["handler"] == "up" for s in e.sidecars(2) or []), 20)
        rows = gatling.pair(swarm, 2, container, e.agent(2), 1000, 30 if FULL else 8)
    finally:
        swarm.docker(2, "rm", "-f", "account")
    swarm.say("  " + gatling.table(rows, 1000).replace("\n", "\n  "))
    for what, _, _, figures in rows[1:]:
        assert figures["failed"] == 0 and figures["count"] > 0, (what, figures)


test_a_go_handler.limit = 500
