"""A reader of /hystrix.stream that is as strict as Turbine."""
import json
import time

LATE = 5.0  # seconds between two pings on a busy machine; the dashboard's proxy waits for ten

# What the serializer of Hystrix 1.5 writes, by type. "ms" are integers as well: Turbine cuts fractions off.
STRINGS, NUMBERS, SWITCHES, TIMES, NULLS = "type name group threadPool", """
    currentTime errorPercentage errorCount requestCount rollingCountBadRequests rollingCountCollapsedRequests rollingCountEmit
    rollingCountExceptionsThrown rollingCountFailure rollingCountFallbackEmit rollingCountFallbackFailure rollingCountFallbackMissing
    rollingCountFallbackRejection rollingCountFallbackSuccess rollingCountResponsesFromCache rollingCountSemaphoreRejected
    rollingCountShortCircuited rollingCountSuccess rollingCountThreadPoolRejected rollingCountTimeout
    currentConcurrentExecutionCount rollingMaxConcurrentExecutionCount latencyExecute_mean latencyTotal_mean
    propertyValue_circuitBreakerRequestVolumeThreshold propertyValue_circuitBreakerSleepWindowInMilliseconds
    propertyValue_circuitBreakerErrorThresholdPercentage propertyValue_executionIsolationThreadTimeoutInMilliseconds
    propertyValue_executionTimeoutInMilliseconds propertyValue_executionIsolationSemaphoreMaxConcurrentRequests
    propertyValue_fallbackIsolationSemaphoreMaxConcurrentRequests propertyValue_metricsRollingStatisticalWindowInMilliseconds
    reportingHosts""", """isCircuitBreakerOpen propertyValue_circuitBreakerForceOpen propertyValue_circuitBreakerForceClosed
    propertyValue_circuitBreakerEnabled propertyValue_executionIsolationThreadInterruptOnTimeout propertyValue_requestCacheEnabled
    propertyValue_requestLogEnabled""", "latencyExecute latencyTotal", "propertyValue_executionIsolationThreadPoolKeyOverride"
POOL = """currentTime currentActiveCount currentCompletedTaskCount currentCorePoolSize currentLargestPoolSize currentMaximumPoolSize
    currentPoolSize currentQueueSize currentTaskCount rollingCountThreadsExecuted rollingMaxActiveThreads rollingCountCommandRejections
    propertyValue_queueSizeRejectionThreshold propertyValue_metricsRollingStatisticalWindowInMilliseconds reportingHosts"""
PERCENTILES = ("0", "25", "50", "75", "90", "95", "99", "99.5", "100")


def table(**types):
    return {key: kind for kind, keys in types.items() for key in keys.split()}


KEYS = {"HystrixCommand": table(str=STRINGS + " propertyValue_executionIsolationStrategy", int=NUMBERS, bool=SWITCHES, dict=TIMES, NoneType=NULLS),
        "HystrixThreadPool": table(str="type name", int=POOL)}


class Reader:
    """One reader. tick() is what came up to the next ping, judged line by line; comments are kept in `remarks`."""

    def __init__(self, t, agent, version="1.1", prefix="", rcvbuf=0):
        self.merged, self.remarks = prefix == "/swarm", []
        self.wire = t.client(agent.admin, rcvbuf=rcvbuf)
        self.wire.send("GET %s/hystrix.stream HTTP/%s\r\nHost: localhost\r\n\r\n" % (prefix, version))
        self.head = self.wire.read_head()
        self.chunked = self.head.get("transfer-encoding") == "chunked"
        self.text = b""

    def more(self, seconds):
        if not self.chunked:
            self.text += self.wire.read(1, seconds)
            return
        size = int(self.wire.read_until(b"\r\n", seconds), 16)
        assert size, "the stream was ended"
        self.text += self.wire.read(size, seconds)
        self.wire.expect(b"\r\n")

    def tick(self, seconds=LATE):
        while b"ping: \n\n" not in self.text:
            self.more(seconds)
        block, _, self.text = self.text.partition(b"ping: \n\n")
        events = block.decode().split("\n\n")
        assert events.pop() == "", "an event without an empty line behind it: %r" % block[-100:]
        self.remarks += [event for event in events if event.startswith(":")]
        return [judged(event, self.merged) for event in events if not event.startswith(":")]

    def until(self, what, check, seconds=8.0):
        limit = time.monotonic() + seconds
        while True:
            events = self.tick()
            found = check(*events)
            if found:
                return found
            assert time.monotonic() < limit, "%s: not within %.0f s: %r" % (what, seconds, events)


def judged(event, merged=False):
    """The JSON of an event that a strict reader takes. Of several agents a circuit is open by their number, or by a text when some are."""
    assert event.startswith("data: {") and "\n" not in event, event
    data = json.loads(event[6:], parse_constant=lambda word: 1 / 0)
    keys = KEYS[data["type"]]
    found = {key: type(value).__name__ for key, value in data.items()}
    if merged and data["type"] == "HystrixCommand":
        hosts, opened = data["reportingHosts"], data["isCircuitBreakerOpen"]
        assert opened in (False, hosts) or sum(json.loads(opened).values()) == hosts, data
        found["isCircuitBreakerOpen"] = "bool"
    assert found == keys, set(found.items()) ^ set(keys.items())
    for key in TIMES.split() if data["type"] == "HystrixCommand" else ():
        values = list(data[key].values())
        assert tuple(data[key]) == PERCENTILES and all(type(value) is int for value in values), data[key]
        assert values == sorted(values), data[key]
    assert (data["reportingHosts"] == 1 or merged and data["reportingHosts"] > 1) and abs(data["currentTime"] / 1000 - time.time()) < 60
    assert all(value >= 0 for value in data.values() if isinstance(value, int))
    return data
