// The map of the status page: land, sites, and clients at the middle of their country with a line to
// the site that serves them. What it shows comes from /v1/map of the same machine.
import {geoGraticule10, geoNaturalEarth1, geoPath} from 'd3-geo';
import {feature, mesh} from 'topojson-client';
import world from 'world-atlas/countries-110m.json';

const EVERY_MS = 5000, WIDTH = 960, HEIGHT = 470, COLOURS = 6;
const figure = document.getElementById('map');
const projection = geoNaturalEarth1().fitExtent([[4, 4], [WIDTH - 4, HEIGHT - 4]], {type: 'Sphere'});
const path = geoPath(projection).digits(1);

function part(parent, name, attributes, text) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return parent.appendChild(element);
}

const svg = part(figure.querySelector('.world'), 'svg', {viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: 'img'});
part(svg, 'path', {class: 'sea', d: path({type: 'Sphere'})});
part(svg, 'path', {class: 'grid', d: path(geoGraticule10())});
part(svg, 'path', {class: 'land', d: path(feature(world, world.objects.countries))});
part(svg, 'path', {class: 'border', d: path(mesh(world, world.objects.countries, (a, b) => a !== b))});
const layer = part(svg, 'g', {});

const point = (row) => projection([row.longitude, row.latitude]);
const colour = (sites, name) => `c${Math.max(0, sites.findIndex((site) => site.name === name)) % COLOURS}`;

function drawClients(sites, clients) {
  const most = Math.max(1, ...clients.map((row) => row.clients));
  for (const row of clients) {
    const site = sites.find((one) => one.name === row.site);
    if (site) part(layer, 'path', {class: `way ${colour(sites, row.site)}`, d: path({type: 'LineString',
      coordinates: [[row.longitude, row.latitude], [site.longitude, site.latitude]]})});
  }
  for (const row of clients) {
    const [x, y] = point(row);
    const dot = part(layer, 'circle', {class: `clients ${row.site ? colour(sites, row.site) : 'none'}`, cx: x.toFixed(1), cy: y.toFixed(1),
      r: (3 + 11 * Math.sqrt(row.clients / most)).toFixed(1)});
    part(dot, 'title', {}, `${row.country}: ${row.clients} clients, ${row.site ? `served by ${row.site}` : 'no sites'}`);
  }
}

function drawSites(sites) {
  for (const one of sites) {
    const [x, y] = point(one);
    const mark = part(layer, 'rect', {class: `site ${colour(sites, one.name)}`, x: (x - 5).toFixed(1),
      y: (y - 5).toFixed(1), width: 10, height: 10, transform: `rotate(45 ${x.toFixed(1)} ${y.toFixed(1)})`});
    part(mark, 'title', {}, `${one.name}: ${one.usable} of ${one.endpoints} usable, ${one.inflight} requests`);
    part(layer, 'text', {class: 'name', x: (x + 9).toFixed(1), y: (y - 7).toFixed(1)}, one.name);
  }
}

function key(sites, clients) {
  const rows = sites.map((one) => {
    const item = document.createElement('li'), mark = document.createElement('span');
    const served = clients.filter((row) => row.site === one.name).reduce((n, row) => n + row.clients, 0);
    mark.className = `mark ${colour(sites, one.name)}`;
    item.append(mark, `${one.name}: ${one.usable} of ${one.endpoints} usable, ${served} clients`);
    return item;
  });
  figure.querySelector('.key').replaceChildren(...rows);
}

function draw({sites, clients}) {
  const standing = sites.filter((row) => 'latitude' in row), known = clients.filter((row) => 'latitude' in row);
  layer.replaceChildren();
  drawClients(standing, known);
  drawSites(standing);
  key(standing, clients);
  svg.setAttribute('aria-label', `World map: ${standing.length} sites, clients in ` +
    `${new Set(known.map((row) => row.country)).size} countries; the same figures are in the table of clients`);
  figure.hidden = standing.length === 0 && known.length === 0;
}

async function renew() {
  try {
    const answer = await fetch('/v1/map');
    if (answer.ok) draw(await answer.json());
  } catch (error) {
    // The page says by itself that its figures are old.
  }
  setTimeout(renew, EVERY_MS);
}

renew();
