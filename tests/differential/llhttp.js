// Reads records by llhttp, the parser of Node.js in its strict mode; see README.md.
'use strict';
process.removeAllListeners('warning');
process.on('warning', () => {});
const { HTTPParser } = require('_http_common');
const { createHash } = require('crypto');
const fs = require('fs');

// llhttp's numbers of the methods that are forwarded.
const METHODS = { 0: 'DELETE', 1: 'GET', 2: 'HEAD', 3: 'POST', 4: 'PUT', 6: 'OPTIONS', 28: 'PATCH' };
const HEAD_MOST = 1 << 20;

function read(bytes) {
  const lines = [];
  let found, fields, url;
  const parser = new HTTPParser();
  const reset = () => { [found, fields, url] = [null, [], '']; };
  reset();
  parser.initialize(HTTPParser.REQUEST, {}, HEAD_MOST, 0);
  parser[HTTPParser.kOnHeaders] = (more, part) => { fields.push(...more); url += part; };
  parser[HTTPParser.kOnHeadersComplete] = (major, minor, list, method, target) => {
    fields.push(...(list || []));
    const get = (name) => fields.filter((_, i) => i % 2 === 1 && fields[i - 1].toLowerCase() === name).join(', ');
    found = { start: `${METHODS[method]} ${url + (target || '')} ${get('host')} ${get('x-forwarded-for')}`,
      size: 0, hash: createHash('md5') };
    return 0;
  };
  parser[HTTPParser.kOnBody] = (chunk, at = 0, size = chunk.length) => {
    found.size += size;
    found.hash.update(chunk.subarray(at, at + size));
  };
  parser[HTTPParser.kOnMessageComplete] = () => {
    lines.push(`${found.start} ${found.size} ${found.hash.digest('hex')}`);
    reset();
  };
  const result = parser.execute(bytes, 0, bytes.length);
  if (result instanceof Error) lines.push(`! ${result.code}`);
  parser.close();
  return lines;
}

const input = fs.readFileSync(0);
let out = '';
for (let at = 0, size; at < input.length; at += 4 + size) {
  size = input.readUInt32BE(at);
  for (const line of read(input.subarray(at + 4, at + 4 + size))) out += line + '\n';
  out += '.\n';
  if (out.length > HEAD_MOST) {
    fs.writeSync(1, out);
    out = '';
  }
}
fs.writeSync(1, out);
