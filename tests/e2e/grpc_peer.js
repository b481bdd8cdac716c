// A gRPC server, and a client with a story for every kind of call. Messages are plain bytes: no schema.
//
//     grpc_peer.js server PORT [KEY CERTIFICATE]
//     grpc_peer.js client PORT CA              prints what came of each story, as JSON
'use strict';
const fs = require('fs');
const grpc = require('@grpc/grpc-js');

const bytes = (value) => value;
const method = (name, requestStream, responseStream) => ({
  path: `/test.Echo/${name}`, requestStream, responseStream, requestSerialize: bytes, requestDeserialize: bytes,
  responseSerialize: bytes, responseDeserialize: bytes,
});
const service = {
  unary: method('Unary', false, false), gather: method('Gather', true, false),
  spread: method('Spread', false, true), talk: method('Talk', true, true),
  fail: method('Fail', false, false), slow: method('Slow', false, false), count: method('Count', false, false),
};

function serve(port, key, certificate) {
  let cancelled = 0;
  const handlers = {
    unary(call, done) {
      const trailers = new grpc.Metadata();
      trailers.set('x-trailer', 'end');
      trailers.set('x-trailer-bin', Buffer.from([0, 255, 10]));
      const head = new grpc.Metadata();
      head.set('x-head', String(call.metadata.get('x-ask')[0]));
      call.sendMetadata(head);
      done(null, call.request, trailers);
    },
    gather(call, done) {
      let size = 0;
      call.on('data', (message) => { size += message.length; });
      call.on('end', () => done(null, Buffer.from(String(size))));
    },
    spread(call) {
      const count = Number(call.request.toString());
      for (let i = 0; i < count; i++) call.write(Buffer.alloc(5000, i % 256));
      call.end();
    },
    talk(call) {
      call.on('data', (message) => call.write(message));
      call.on('end', () => call.end());
    },
    fail(call, done) {
      done({ code: grpc.status.FAILED_PRECONDITION, details: 'not now: 100 % of \u00fcs' });
    },
    slow(call) { // answers nothing
      call.on('cancelled', () => { cancelled++; });
    },
    count(call, done) { done(null, Buffer.from(String(cancelled))); },
  };
  const server = new grpc.Server();
  server.addService(service, handlers);
  const credentials = key
    ? grpc.ServerCredentials.createSsl(null, [{ private_key: fs.readFileSync(key), cert_chain: fs.readFileSync(certificate) }])
    : grpc.ServerCredentials.createInsecure();
  server.bindAsync(`127.0.0.1:${port}`, credentials, (error) => {
    if (error) throw error;
    console.log('ready');
  });
}

const outcome = (error) => (error ? { code: error.code, details: error.details } : { code: 0 });
const seconds = (count) => ({ deadline: Date.now() + 1000 * count });

const stories = {
  unary: (client) => new Promise((resolve) => {
    const ask = new grpc.Metadata();
    ask.set('x-ask', 'please');
    const result = {};
    const call = client.unary(Buffer.alloc(300000, 7), ask, seconds(20), (error, message) => {
      result.end = outcome(error);
      result.size = message && message.length;
    });
    call.on('metadata', (head) => { result.head = head.get('x-head')[0]; });
    call.on('status', (status) => {
      result.trailer = status.metadata.get('x-trailer')[0];
      result.binary = [...(status.metadata.get('x-trailer-bin')[0] || [])];
      setImmediate(() => resolve(result));
    });
  }),
  empty: (client) => new Promise((resolve) => {
    client.unary(Buffer.alloc(0), new grpc.Metadata(), seconds(20), (error, message) =>
      resolve({ end: outcome(error), size: message && message.length }));
  }),
  gather: (client) => new Promise((resolve) => {
    const call = client.gather(new grpc.Metadata(), seconds(20), (error, message) =>
      resolve({ end: outcome(error), size: Number(message) }));
    for (let i = 0; i < 200; i++) call.write(Buffer.alloc(5000, i % 256));
    call.end();
  }),
  spread: (client) => new Promise((resolve) => {
    const call = client.spread(Buffer.from('200'), new grpc.Metadata(), seconds(20));
    let count = 0, right = true;
    call.on('data', (message) => { right = right && message.length === 5000 && message[0] === count++ % 256; });
    call.on('error', () => {});
    call.on('status', (status) => resolve({ end: outcome(status), count, right }));
  }),
  talk: (client) => new Promise((resolve) => { // the next word only after the answer to the last one
    const call = client.talk(new grpc.Metadata(), seconds(20));
    let rounds = 0;
    call.on('data', (message) => {
      if (message.toString() === `word ${rounds}`) rounds++;
      if (rounds < 50) call.write(Buffer.from(`word ${rounds}`));
      else call.end();
    });
    call.on('error', () => {});
    call.on('status', (status) => resolve({ end: outcome(status), rounds }));
    call.write(Buffer.from('word 0'));
  }),
  fail: (client) => new Promise((resolve) => {
    client.fail(Buffer.from('x'), (error) => resolve({ end: outcome(error) }));
  }),
  unknown: (client) => new Promise((resolve) => {
    client.makeUnaryRequest('/test.Echo/Nothing', bytes, bytes, Buffer.from('x'), (error) =>
      resolve({ end: { code: error.code } }));
  }),
  deadline: (client) => new Promise((resolve) => {
    client.slow(Buffer.from('x'), new grpc.Metadata(), seconds(0.5), (error) => resolve({ end: { code: error.code } }));
  }),
  cancel: (client) => new Promise((resolve) => {
    const call = client.slow(Buffer.from('x'), (error) => resolve({ end: { code: error.code } }));
    setTimeout(() => call.cancel(), 300);
  }),
  cancelled: (client) => new Promise((resolve) => { // what the server has noticed of the two before
    const ask = (left) => client.count(Buffer.from('x'), (error, message) => {
      if (Number(message) >= 2 || !left) resolve({ end: outcome(error), count: Number(message) });
      else setTimeout(ask, 50, left - 1);
    });
    ask(100);
  }),
  many: async (client) => {
    const call = () => new Promise((resolve) => {
      client.unary(Buffer.alloc(1000, 1), new grpc.Metadata(), seconds(30), (error) => resolve(error ? error.code : 0));
    });
    const codes = await Promise.all(Array.from({ length: 500 }, call));
    return { failed: codes.filter((code) => code !== 0).length };
  },
};

async function ask(port, ca, names) {
  const Client = grpc.makeGenericClientConstructor(service, 'Echo');
  const credentials = ca === '-' ? grpc.credentials.createInsecure()
    : grpc.credentials.createSsl(fs.readFileSync(ca));
  const client = new Client(`localhost:${port}`, credentials);
  const results = {};
  for (const name of names.length ? names : Object.keys(stories)) results[name] = await stories[name](client);
  client.close();
  console.log(JSON.stringify(results));
}

const [role, port, ...rest] = process.argv.slice(2);
if (role === 'server') serve(port, ...rest);
else ask(port, rest[0], rest.slice(1));
