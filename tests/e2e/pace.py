"""How many tests run side by side. Most wait rather than compute, so the machine can bear more of them than it has
processors; how many more it says itself, by the time its processors were idle. A busy machine gets the least of them."""
import os
import time

CORES = os.cpu_count() or 1
LEAST, MOST = 2 * CORES, 5 * CORES  # places; see Test.places
LOOK_S = 0.25
SPARE = 0.2                         # of all processors' time since the last look


def patience():
    """How many times as long as elsewhere tests wait for what shall come: under valgrind everything takes its time."""
    return float(os.environ.get("MERIDIAN_PATIENCE", 1))


def processor_time():
    """(idle, all) of all processors since the machine's start, in ticks."""
    with open("/proc/stat", encoding="ascii") as stat:
        ticks = [int(field) for field in stat.readline().split()[1:9]]
    return ticks[3] + ticks[4], sum(ticks)  # idle, and idle while a disk works


class Pace:
    def __init__(self, most):
        self.least, self.most = min(LEAST, most), most
        self.looked, self.seen = time.monotonic(), processor_time()

    def allows(self, test, running):
        """Whether this test may begin beside those."""
        if not running:
            return True
        if test.alone or any(other.alone for other in running):
            return False
        if sum(other.places for other in running) + test.places <= self.least:
            return True
        busy = test.places > 1 or any(other.places > 1 for other in running)
        return not busy and len(running) < self.most and self._idle()

    def _idle(self):
        """Whether there was time to spare since the last look; one more test may begin at each."""
        if time.monotonic() - self.looked < LOOK_S:
            return False
        before, self.seen, self.looked = self.seen, processor_time(), time.monotonic()
        idle, total = (now - then for now, then in zip(self.seen, before))
        return idle > SPARE * total
