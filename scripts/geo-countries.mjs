// Makes geo/country_table.inc: for each country its continent and a central point, from Natural Earth's
// country shapes (public domain) as the npm package world-atlas 2.0.2 redistributes them (Natural Earth
// 4.1.0). Only needed to make the table anew; building Meridian needs neither npm nor this script.
//
//   npm pack world-atlas@2.0.2 && tar xzf world-atlas-2.0.2.tgz
//   node scripts/geo-countries.mjs package > geo/country_table.inc
//
// The central point is the centroid, on the sphere, of the country's largest connected piece of land:
// most people of a country live there, and a mean over far islands would fall into the sea.
import {readFileSync} from 'node:fs';

// ISO 3166-1 alpha-2 and numeric code, by continent. XK (Kosovo) is a user-assigned code that
// geolocation databases use; it has no numeric one.
const continents = {
  AF: `DZ12 AO24 BJ204 BW72 BF854 BI108 CV132 CM120 CF140 TD148 KM174 CG178 CD180 CI384 DJ262 EG818 GQ226
       ER232 SZ748 ET231 GA266 GM270 GH288 GN324 GW624 KE404 LS426 LR430 LY434 MG450 MW454 ML466 MR478
       MU480 YT175 MA504 MZ508 NA516 NE562 NG566 RE638 RW646 SH654 ST678 SN686 SC690 SL694 SO706 ZA710
       SS728 SD729 TZ834 TG768 TN788 UG800 EH732 ZM894 ZW716`,
  AN: `AQ10 BV74 TF260 HM334 GS239`,
  AS: `AF4 AM51 AZ31 BH48 BD50 BT64 IO86 BN96 KH116 CN156 CX162 CC166 CY196 GE268 HK344 IN356 ID360 IR364
       IQ368 IL376 JP392 JO400 KZ398 KW414 KG417 LA418 LB422 MO446 MY458 MV462 MN496 MM104 NP524 KP408
       OM512 PK586 PS275 PH608 QA634 SA682 SG702 KR410 LK144 SY760 TW158 TJ762 TH764 TL626 TR792 TM795
       AE784 UZ860 VN704 YE887`,
  EU: `AX248 AL8 AD20 AT40 BY112 BE56 BA70 BG100 HR191 CZ203 DK208 EE233 FO234 FI246 FR250 DE276 GI292
       GR300 GG831 VA336 HU348 IS352 IE372 IM833 IT380 JE832 XK0 LV428 LI438 LT440 LU442 MT470 MD498
       MC492 ME499 NL528 MK807 NO578 PL616 PT620 RO642 RU643 SM674 RS688 SK703 SI705 ES724 SJ744 SE752
       CH756 UA804 GB826`,
  NA: `AI660 AG28 AW533 BS44 BB52 BZ84 BM60 BQ535 VG92 CA124 KY136 CR188 CU192 CW531 DM212 DO214 SV222
       GL304 GD308 GP312 GT320 HT332 HN340 JM388 MQ474 MX484 MS500 NI558 PA591 PR630 BL652 KN659 LC662
       MF663 PM666 VC670 SX534 TT780 TC796 US840 VI850`,
  OC: `AS16 AU36 CK184 FJ242 PF258 GU316 KI296 MH584 FM583 NR520 NC540 NZ554 NU570 NF574 MP580 PW585 PG598
       PN612 WS882 SB90 TK772 TO776 TV798 UM581 VU548 WF876`,
  SA: `AR32 BO68 BR76 CL152 CO170 EC218 FK238 GF254 GY328 PY600 PE604 SR740 UY858 VE862`,
};

// Not shapes of their own there: part of France, Norway, the Netherlands or New Zealand, or of another
// row. Their midpoints to a tenth of a degree.
const absent = {
  BQ: [12.2, -68.3], BV: [-54.4, 3.4], CC: [-12.2, 96.8], CX: [-10.5, 105.7], GF: [3.9, -53.1],
  GP: [16.2, -61.6], MQ: [14.7, -61.0], RE: [-21.1, 55.5], SJ: [78.6, 16.4], TK: [-9.2, -171.8],
  YT: [-12.8, 45.2],
};

// All rings: a hole is smaller than what it is in, and Antarctica's coast is noted as one.
function rings(topology, geometry) {
  const {scale, translate} = topology.transform;
  const arcs = topology.arcs.map((arc) => {
    let x = 0, y = 0;
    return arc.map(([dx, dy]) => [(x += dx) * scale[0] + translate[0], (y += dy) * scale[1] + translate[1]]);
  });
  const ring = (indexes) => indexes.flatMap((i) => (i >= 0 ? arcs[i] : [...arcs[~i]].reverse()).slice(0, -1));
  const polygons = geometry.type === 'Polygon' ? [geometry.arcs] : geometry.arcs;
  return polygons.flatMap((polygon) => polygon.map(ring));
}

const radians = (degrees) => degrees * Math.PI / 180;
const degrees = (angle) => angle * 180 / Math.PI;

const vector = ([x, y]) => [Math.cos(radians(y)) * Math.cos(radians(x)),
  Math.cos(radians(y)) * Math.sin(radians(x)), Math.sin(radians(y))];
const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];

// The integral of the position over a region bounded by great circles is half the sum over its edges of
// the edge's length times the normal of its plane (Stokes). Its length is close to the region's area.
function integral(ring) {
  const sum = [0, 0, 0], mean = [0, 0, 0];
  ring.forEach((point, i) => {
    const a = vector(point), b = vector(ring[(i + 1) % ring.length]), n = cross(a, b);
    const sine = Math.hypot(...n), length = sine > 0 ? Math.atan2(sine, dot(a, b)) / sine : 0;
    for (let k = 0; k < 3; k++) {
      sum[k] += n[k] * length;
      mean[k] += a[k];
    }
  });
  return dot(sum, mean) < 0 ? sum.map((v) => -v) : sum;
}

function center(all) {
  const [x, y, z] = all.map(integral).reduce((best, v) => (Math.hypot(...v) > Math.hypot(...best) ? v : best));
  return [degrees(Math.atan2(z, Math.hypot(x, y))), degrees(Math.atan2(y, x))];
}

const [folder] = process.argv.slice(2);
const maps = ['50m', '10m'].map((scale) => JSON.parse(readFileSync(`${folder}/countries-${scale}.json`)));

function find(code, numeric) {
  for (const map of maps) {
    const all = map.objects.countries.geometries
      .filter((g) => (code === 'XK' ? g.properties.name === 'Kosovo' : Number(g.id) === numeric))
      .flatMap((g) => rings(map, g));
    if (all.length > 0)
      return center(all);
  }
  if (!absent[code])
    throw new Error(`${code} is neither in Natural Earth nor in the list of the absent`);
  return absent[code];
}

const rows = Object.entries(continents).flatMap(([continent, list]) =>
  list.trim().split(/\s+/).map((entry) => {
    const code = entry.slice(0, 2), numeric = Number(entry.slice(2));
    const [latitude, longitude] = find(code, numeric).map((v) => v.toFixed(2));
    return `{"${code}", "${continent}", ${numeric}, ${latitude}F, ${longitude}F},`;
  }));
console.log(`/* Made by scripts/geo-countries.mjs; do not edit. Central points: the centroid of the largest piece of
 * land of each country in Natural Earth 4.1.0, scale 1:50 million, else 1:10 million (public domain,
 * naturalearthdata.com), by way of the npm package world-atlas 2.0.2. Codes: ISO 3166-1, and XK. */`);
console.log(rows.sort().join('\n'));
