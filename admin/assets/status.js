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

const sum = (values) => values.reduce((n, value) => n + value, 0);

function reading(text) {
  const buckets = new Map();
  for (const row of samples(text, 'meridian_request_seconds_bucket'))
    buckets.set(row.le, (buckets.get(row.le) || 0) + row.value);
  const ends = new Map(samples(text, 'meridian_requests_ended_total').map((row) => [row.reason, row.value]));
  return {at: performance.now(), requests: sum([...ends.values()]), ends, buckets};
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

const SHARES = [0.5, 0.9, 0.99];
const number = (v) => v < 10 ? v.toFixed(1) : Math.round(v).toLocaleString('en');

// One path for each line, all on one scale, whose end is written beside it.
function draw(id, lines, unit) {
  const figure = document.getElementById(id), most = Math.max(...lines.flat().filter((v) => v !== null), 1e-9);
  const step = 100 / (POINTS - 1);
  figure.querySelectorAll('path').forEach((path, i) => {
    const values = lines[i], first = POINTS - values.length;
    let d = '', pen = 'M';
    values.forEach((v, k) => {
      if (v !== null) d += `${pen}${((first + k) * step).toFixed(2)} ${(29 - 28 * v / most).toFixed(2)}`;
      pen = v === null ? 'M' : 'L';
    });
    path.setAttribute('d', d);
  });
  const last = lines.map((values) => values[values.length - 1]);
  const words = last.map((v) => Object.assign(document.createElement('span'), {textContent: v === null ? '–' : number(v)}));
  figure.querySelector('strong').replaceChildren(...words.flatMap((word, i) => i ? [' · ', word] : [word]), ` ${unit}`);
  figure.querySelector('small').textContent = `the last five minutes; most: ${number(most)} ${unit}`;
}

// The reasons of bad ends that came since the last look, the most frequent first.
function reasons(now, seconds) {
  return [...now.ends].map(([reason, n]) => [reason, (n - (before.ends.get(reason) || 0)) / seconds])
    .filter(([reason, rate]) => reason !== 'ok' && rate > 0).sort((a, b) => b[1] - a[1]);
}

function chart(text) {
  const now = reading(text);
  if (before !== null) {
    const seconds = (now.at - before.at) / 1000, bad = reasons(now, seconds);
    points.push({rate: Math.max(0, now.requests - before.requests) / seconds, failed: sum(bad.map((one) => one[1])),
                 shares: SHARES.map((share) => quantile(now, before, share))});
    if (points.length > POINTS) points.shift();
    draw('rate', [points.map((p) => p.rate)], '/s');
    draw('times', SHARES.map((_, i) => points.map((p) => p.shares[i])), 'ms');
    draw('failed', [points.map((p) => p.failed)], '/s');
    document.getElementById('reasons').textContent =
      bad.slice(0, 4).map(([reason, rate]) => `${reason} ${number(rate)}/s`).join(', ');
    document.getElementById('charts').hidden = false;
  }
  before = now;
}

// Tables that are wider than the screen stay scrolled to where they are.
function replace(live, fresh) {
  const wide = () => [...live.querySelectorAll('.wide')], at = wide().map((one) => one.scrollLeft);
  live.replaceChildren(...fresh.childNodes);
  wide().forEach((one, i) => { one.scrollLeft = at[i] || 0; });
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
    if (String(getSelection()) === '' && !live.contains(document.activeElement)) replace(live, fresh);
    chart(metrics);
    word.textContent = 'live';
  } catch (error) {
    word.textContent = 'no answer; these figures are old';
  }
  setTimeout(renew, EVERY_MS);
}

renew();
