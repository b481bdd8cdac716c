// Keeps the status page current. The server draws the tables; this puts its newest ones in place,
// and draws three charts of what /metrics says. Nothing is asked of any other machine.
'use strict';

const EVERY_MS = 2000, POINTS = 150;
const points = [];
let before = null;

// The sum of a family's samples; with `le`, of each bucket.
function samples(text, name) {
  const found = [];
  for (const line of text.split('\n')) {
    if (!line.startsWith(name) || (line[name.length] !== '{' && line[name.length] !== ' ')) continue;
    const le = /le="([^"]*)"/.exec(line);
    found.push({le: le ? Number(le[1].replace('+Inf', 'Infinity')) : 0,
                reason: (/reason="([^"]*)"/.exec(line) || [])[1],
                value: Number(line.slice(line.lastIndexOf(' ') + 1))});
  }
  return found;
}

const sum = (rows) => rows.reduce((n, row) => n + row.value, 0);

function reading(text) {
  const buckets = new Map();
  for (const row of samples(text, 'meridian_request_seconds_bucket'))
    buckets.set(row.le, (buckets.get(row.le) || 0) + row.value);
  const ends = samples(text, 'meridian_requests_ended_total');
  return {at: performance.now(), requests: sum(ends), failed: sum(ends.filter((row) => row.reason !== 'ok')), buckets};
}

// The bound of the bucket below which the share of new requests lies, in milliseconds.
function quantile(now, then, share) {
  const bounds = [...now.buckets.keys()].sort((a, b) => a - b);
  const fresh = bounds.map((le) => now.buckets.get(le) - (then.buckets.get(le) || 0));
  const all = fresh[fresh.length - 1];
  if (!all) return null;
  const at = fresh.findIndex((n) => n >= all * share);
  return 1000 * (Number.isFinite(bounds[at]) ? bounds[at] : bounds[at - 1]);
}

function draw(id, values, unit) {
  const figure = document.getElementById(id), known = values.filter((v) => v !== null);
  const most = Math.max(...known, 1e-9), last = values[values.length - 1];
  const step = 100 / (POINTS - 1), first = POINTS - values.length;
  let path = '', pen = 'M';
  values.forEach((v, i) => {
    if (v === null) { pen = 'M'; return; }
    path += `${pen}${((first + i) * step).toFixed(2)} ${(29 - 28 * v / most).toFixed(2)}`;
    pen = 'L';
  });
  figure.querySelector('path').setAttribute('d', path);
  const shown = last === null ? '–' : `${last < 10 ? last.toFixed(1) : Math.round(last).toLocaleString('en')} ${unit}`;
  figure.querySelector('strong').textContent = shown;
}

function chart(text) {
  const now = reading(text);
  if (before !== null) {
    const seconds = (now.at - before.at) / 1000;
    points.push({rate: Math.max(0, now.requests - before.requests) / seconds,
                 failed: Math.max(0, now.failed - before.failed) / seconds,
                 p99: quantile(now, before, 0.99)});
    if (points.length > POINTS) points.shift();
    draw('rate', points.map((p) => p.rate), '/s');
    draw('p99', points.map((p) => p.p99), 'ms');
    draw('failed', points.map((p) => p.failed), '/s');
    document.getElementById('charts').hidden = false;
  }
  before = now;
}

async function renew() {
  const word = document.getElementById('fresh');
  try {
    const [page, metrics] = await Promise.all(['/', '/metrics'].map(async (path) => {
      const answer = await fetch(path);
      if (!answer.ok) throw new Error(String(answer.status));
      return answer.text();
    }));
    const fresh = new DOMParser().parseFromString(page, 'text/html').getElementById('live');
    const live = document.getElementById('live');
    // Neither what is being selected nor what has the focus is taken away.
    if (String(getSelection()) === '' && !live.contains(document.activeElement)) live.replaceChildren(...fresh.childNodes);
    chart(metrics);
    word.textContent = 'live';
  } catch (error) {
    word.textContent = 'no answer; these figures are old';
  }
  setTimeout(renew, EVERY_MS);
}

renew();
