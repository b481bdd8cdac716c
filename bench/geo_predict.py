"""What BALANCING.md predicts: its choice of site (sections 3, 6, 7) on a virtual clock, in as few lines as
it takes and written apart from lb/pick. Sites serve with a fixed number of slots, first come first served."""
import heapq
import math
import random


def distance_ms(place, site, accuracy_km=0.0):
    """Section 3: haversine, less the accuracy radius, 60 km of distance for a millisecond."""
    lat1, lon1, lat2, lon2 = (math.radians(value) for value in (*place, *site))
    h = math.sin((lat2 - lat1) / 2) ** 2 + math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ** 2
    return max(0.0, 2 * 6371.0 * math.asin(math.sqrt(h)) - accuracy_km) / 60


class Site:
    """Estimates of one site and its backends' slots."""

    def __init__(self, name, location, backends, slots):
        self.name, self.location = name, location
        self.free = [[0.0] * slots for _ in range(backends)]
        self.busy = [0] * backends
        self.recent = self.normal = self.seen = 0.0
        self.samples, self.last = 0, 0.0

    def cost(self, distance, base):
        """Section 7: distance plus what the load beyond the band is charged."""
        if self.samples < 32 or base is None:
            return distance
        n, q = len(self.busy), sum(self.busy)
        expected = self.recent * (q + n) / (self.seen + n)
        return distance + min(500.0, 3 * max(0.0, expected - 1.5 * base))

    def sample(self, now, x, q):
        """Section 6."""
        self.samples += 1
        dt = now - self.last if self.samples > 1 else 0.0
        self.last = now
        w = max(1 / self.samples, min(max(1 - math.exp(-dt), 1 / 512), 1 / 64))
        w2 = max(1 / self.samples, min(1 - math.exp(-dt / 30), 1 / 64))
        self.recent += w * (x - self.recent)
        self.seen += w * (q - self.seen)
        self.normal += w2 * (x - self.normal)


def choose(sites, place, accuracy):
    ready = [site.normal for site in sites if site.samples >= 32]
    base = min(ready) if ready else None
    return min(sites, key=lambda site: (site.cost(distance_ms(place, site.location, accuracy), base), sum(site.busy)))


class Simulation:
    """`locations` of sites by name; `service_ms`: (least, most), evenly spread."""

    def __init__(self, locations, backends, slots, service_ms, seed):
        self.random = random.Random(seed)
        self.service_ms = service_ms
        self.sites = [Site(name, place, backends, slots) for name, place in locations.items()]
        self.now, self.events, self.count = 0.0, [], 0

    def run(self, seconds, rates, places, lost=(), warm=0.0):
        """Requests of each region, evenly spaced at its rate; {region: {site: requests}}, the first `warm`
        seconds not counted."""
        shares = {region: {site.name: 0 for site in self.sites} for region in rates}
        start, alive = self.now, [site for site in self.sites if site.name not in lost]
        for region, rate in rates.items():
            for i in range(int(seconds * rate)):
                self.push(start + i / rate, "arrive", (region, places[region][i % len(places[region])]))
        while self.events:
            self.now, _, what, data = heapq.heappop(self.events)
            if what == "arrive":
                site = self.arrive(alive, data[1])
                shares[data[0]][site.name] += self.now >= start + warm
            else:
                self.finish(*data)
        return shares

    def push(self, when, what, data):
        self.count += 1
        heapq.heappush(self.events, (when, self.count, what, data))

    def arrive(self, alive, place):
        site = choose(alive, place[:2], place[2])
        least = min(site.busy)
        backend = self.random.choice([i for i, busy in enumerate(site.busy) if busy == least])
        slots, q = site.free[backend], sum(site.busy)
        first = min(range(len(slots)), key=slots.__getitem__)
        slots[first] = max(self.now, slots[first]) + self.random.uniform(*self.service_ms) / 1000
        site.busy[backend] += 1
        self.push(slots[first], "finish", (site, backend, self.now, q))
        return site

    def finish(self, site, backend, started, q):
        site.busy[backend] -= 1
        site.sample(self.now, (self.now - started) * 1000, q)
