"""What is promised of the choice of a site (the sections are those of its specification), on a virtual clock, in as few lines as
it takes and written apart from lb/pick. Sites serve with a fixed number of slots, first come first served."""
import heapq
import math
import random


def distance_ms(place, site, accuracy_km=0.0):
    """Section 3: haversine, less the accuracy radius, 60 km of distance for a millisecond."""
    lat1, lon1, lat2, lon2 = (math.radians(value) for value in (*place, *site))
    h = math.sin((lat2 - lat1) / 2) ** 2 + math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ** 2
    return max(0.0, 2 * 6371.0 * math.asin(math.sqrt(h)) - accuracy_km) / 60


class Place:
    """Servers of one site: their slots, how much slower than usual each is."""

    def __init__(self, location, factors, slots):
        self.location, self.factors = location, factors
        self.free = [[0.0] * slots for _ in factors]


class Site:
    """What one balancer knows of one place: estimates, and what it has there."""

    def __init__(self, name, place):
        self.name, self.place, self.location = name, place, place.location
        self.busy = [0] * len(place.factors)
        self.total = 0
        self.recent = self.normal = self.seen = 0.0
        self.samples, self.last = 0, 0.0

    def cost(self, distance, base):
        """Section 7: distance plus what the load beyond the band is charged."""
        if self.samples < 32 or base is None:
            return distance
        n, q = len(self.busy), self.total
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
    return min(sites, key=lambda site: (site.cost(distance_ms(place, site.location, accuracy), base), site.total))


class Simulation:
    """`locations` of sites by name; `factors`: of each site's servers; `service_ms`: (least, most), evenly
    spread; `balancers`: each with counters of its own; `allowed`: {region: sites}, else all."""

    def __init__(self, locations, factors, slots, service_ms, seed, balancers=1, allowed=None):
        self.random = random.Random(seed)
        self.service_ms, self.allowed = service_ms, allowed or {}
        places = {name: Place(place, factors[name], slots) for name, place in locations.items()}
        self.balancers = [[Site(name, place) for name, place in places.items()] for _ in range(balancers)]
        self.now, self.events, self.count = 0.0, [], 0

    def run(self, seconds, rates, places, lost=(), warm=0.0):
        """Requests of each region, evenly spaced at its rate; {region: {site: requests}}, the first `warm`
        seconds not counted."""
        shares = {region: {site.name: 0 for site in self.balancers[0]} for region in rates}
        start = self.now
        for region, rate in rates.items():
            for i in range(int(seconds * rate)):
                self.push(start + i / rate, "arrive", (region, places[region][i % len(places[region])]))
        while self.events:
            self.now, _, what, data = heapq.heappop(self.events)
            if what == "arrive":
                site = self.arrive(*data, lost)
                shares[data[0]][site.name] += self.now >= start + warm
            else:
                self.finish(*data)
        return shares

    def push(self, when, what, data):
        self.count += 1
        heapq.heappush(self.events, (when, self.count, what, data))

    def arrive(self, region, place, lost):
        allowed = self.allowed.get(region)
        sites = [site for site in self.random.choice(self.balancers)
                 if site.name not in lost and (allowed is None or site.name in allowed)]
        site = choose(sites, place[:2], place[2])
        drawn = self.random.sample(range(len(site.busy)), min(3, len(site.busy)))
        backend = min(drawn, key=site.busy.__getitem__)
        slots, q = site.place.free[backend], site.total
        first = min(range(len(slots)), key=slots.__getitem__)
        service = self.random.uniform(*self.service_ms) * site.place.factors[backend] / 1000
        slots[first] = max(self.now, slots[first]) + service
        site.busy[backend] += 1
        site.total += 1
        self.push(slots[first], "finish", (site, backend, self.now, q))
        return site

    def finish(self, site, backend, started, q):
        site.busy[backend] -= 1
        site.total -= 1
        site.sample(self.now, (self.now - started) * 1000, q)
