/** `node attacker.ts PORT RESP-PORT LOAD SECONDS`: sends one hostile load. Says `ready` when it begins, and counts in the end. */
import net from 'node:net';
import { endOfChunk, hello, loads, type Load } from './loads.ts';

const [port, respPort, name, seconds] = process.argv.slice(2);
const load = loads.find((one) => one.name === name)!;
let chunks = 0;
let replies = 0;
const refused = new Map<string, number>();

await prepare(load);
console.log('ready');
const sockets = Array.from({ length: load.connections }, () => connection());
setTimeout(() => {
  for (const socket of sockets) socket.destroy();
  console.log(JSON.stringify({ chunks, replies, refused: Object.fromEntries(refused) }));
  process.exit();
}, Number(seconds) * 1000);

async function prepare({ prepare: requests = [] }: Load): Promise<void> {
  for (const bytes of requests) {
    await new Promise<void>((resolve, reject) => {
      const socket = net.connect(Number(port), '127.0.0.1');
      socket.on('error', reject);
      socket.on('data', (data) => {
        if (!data.includes('HTTP/1.1 200')) reject(new Error(data.toString().slice(0, 500)));
        socket.destroy();
        resolve();
      });
      socket.write(bytes);
    });
  }
}

/** Sends one chunk after the other. A connection that the server closes is opened again. */
function connection(): net.Socket {
  const isResp = load.door === 'resp';
  const socket = net.connect(Number(isResp ? respPort : port), '127.0.0.1');
  let waiting = 0;
  const next = (): void => {
    if (socket.destroyed) return;
    const chunk = load.chunk(chunks);
    chunks += 1;
    waiting = chunk.replies;
    const written = socket.write(chunk.bytes);
    if (chunk.replies > 0) return;
    socket.pause();
    if (!written) socket.once('drain', next);
  };
  if (isResp) socket.write(hello);
  socket.on('connect', next);
  socket.on('data', (data) => {
    if (isResp) {
      // A marker that lies across two reads is rare, and costs the load one connection.
      if (data.includes(endOfChunk)) {
        replies += 1;
        waiting -= 1;
      }
      const failed = /^-([A-Z]+)/m.exec(data.toString('latin1', 0, 200))?.[1];
      if (failed !== undefined) refused.set(failed, (refused.get(failed) ?? 0) + 1);
      if (waiting <= 0) next();
      return;
    }
    for (let at = data.indexOf('HTTP/1.1 '); at >= 0; at = data.indexOf('HTTP/1.1 ', at + 9)) {
      const status = data.toString('latin1', at + 9, at + 12);
      if (status === '100') continue;
      replies += 1;
      waiting -= 1;
      if (status >= '400') refused.set(status, (refused.get(status) ?? 0) + 1);
    }
    if (waiting <= 0 && !socket.isPaused()) next();
  });
  socket.on('error', () => {});
  socket.on('close', () => {
    if (process.exitCode === undefined) setTimeout(() => sockets.push(connection()), 20).unref();
  });
  return socket;
}
