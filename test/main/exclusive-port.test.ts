/** With the real kernel: sockets of this process stand for those of several servers. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { test, type TestContext } from 'node:test';
import { withExclusivePort } from '../../src/main/exclusive-port.ts';

/** Listens as a front end does. */
async function join(t: TestContext, port: number, host = '127.0.0.1'): Promise<net.Server> {
  const server = net.createServer((socket) => socket.on('error', () => {}).resume());
  t.after(() => server.close());
  server.listen({ host, port, reusePort: true });
  await once(server, 'listening');
  return server;
}

function portOf(server: net.Server): number {
  const address = server.address();
  assert(typeof address === 'object' && address !== null);
  return address.port;
}

async function freePort(t: TestContext): Promise<number> {
  const server = await join(t, 0);
  const port = portOf(server);
  server.close();
  await once(server, 'close');
  return port;
}

test('a port: of many servers that start at once exactly one gets it, and the others fail as in use', async (t) => {
  const port = await freePort(t);
  const tries = Array.from({ length: 20 }, () =>
    withExclusivePort({ host: '127.0.0.1', port }, async () => {
      await new Promise((resolve) => setImmediate(resolve));
      return join(t, port);
    }),
  );
  const results = await Promise.allSettled(tries);
  const refusals = results.flatMap((result) => (result.status === 'rejected' ? [result.reason as Error] : []));
  assert.equal(refusals.length, 19);
  for (const refusal of refusals) assert.match(refusal.message, /EADDRINUSE/);
  await join(t, port);
});

test('a port: a server that comes while another is between the two steps waits, and is refused', async (t) => {
  const port = await freePort(t);
  const entered = Promise.withResolvers<void>();
  const goOn = Promise.withResolvers<void>();
  const first = withExclusivePort({ host: '127.0.0.1', port }, async () => {
    entered.resolve();
    await goOn.promise;
    return join(t, port);
  });
  await entered.promise;
  let bothIn = false;
  const second = withExclusivePort({ host: '127.0.0.1', port }, async () => {
    bothIn = true;
    return join(t, port);
  });
  const refused = assert.rejects(second, /EADDRINUSE/);
  // Enough turns for the second to get in, if nothing kept it out.
  for (let turn = 0; turn < 200; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  goOn.resolve();
  await first;
  await refused;
  assert.equal(bothIn, false);
});

test('a port: a listener on all addresses, or on one of several, conflicts; on another it does not', async (t) => {
  const everywhere = portOf(await join(t, 0, '0.0.0.0'));
  const refused = withExclusivePort({ host: '127.0.0.1', port: everywhere }, () => join(t, everywhere));
  await assert.rejects(refused, /EADDRINUSE/);
  const here = portOf(await join(t, 0));
  await assert.rejects(
    withExclusivePort({ host: '0.0.0.0', port: here }, () => join(t, here, '0.0.0.0')),
    /EADDRINUSE/,
  );
  await assert.rejects(
    withExclusivePort({ host: 'localhost', port: here }, () => join(t, here)),
    /EADDRINUSE/,
  );
  await withExclusivePort({ host: '127.0.0.2', port: here }, () => join(t, here, '127.0.0.2'));
});

test('a port: a server that has stopped listening does not conflict, even with open connections', async (t) => {
  const old = await join(t, 0);
  const port = portOf(old);
  const client = net.connect({ host: '127.0.0.1', port });
  t.after(() => client.destroy());
  await once(old, 'connection');
  old.close();
  await withExclusivePort({ host: '127.0.0.1', port }, () => join(t, port));
  assert.equal(client.destroyed, false);
});

test('a port: a listener that fails passes its error on, and frees the port', async (t) => {
  const port = await freePort(t);
  const fails = withExclusivePort({ host: '127.0.0.1', port }, () => Promise.reject(new Error('no files left')));
  await assert.rejects(fails, /no files left/);
  await withExclusivePort({ host: '127.0.0.1', port }, () => join(t, port));
});

/** Time passes when the test says so. */
function timers() {
  const set: { ms: number; run: () => void }[] = [];
  return {
    after: (ms: number, run: () => void) => {
      const timer = { ms, run };
      set.push(timer);
      return () => void set.splice(set.indexOf(timer), 1);
    },
    /** Runs those that are due within `ms`. */
    pass: (ms: number): void => {
      for (const timer of set.filter((one) => one.ms <= ms)) {
        set.splice(set.indexOf(timer), 1);
        timer.run();
      }
    },
  };
}

for (const accepts of [true, false]) {
  test(`a port: whoever holds the name and ${accepts ? 'accepts' : 'does not accept'} is named after a second, and a start gives up`, async (t) => {
    const port = await freePort(t);
    const held: net.Socket[] = [];
    const holder = net.createServer((socket) => held.push(socket));
    t.after(() => {
      holder.close();
      for (const socket of held) socket.destroy();
    });
    // One that does not accept has the backlog full after the first.
    holder.listen({ path: `\0dragonlock-port-${port}`, ...(!accepts && { backlog: 0 }) });
    await once(holder, 'listening');
    const { after, pass } = timers();
    const told: string[] = [];
    let ended = false;
    const waits = withExclusivePort({ host: '127.0.0.1', port }, () => join(t, port), {
      onWait: (message) => told.push(message),
      after,
    }).finally(() => (ended = true));
    const refused = assert.rejects(waits, (error: Error) => {
      assert.match(
        error.message,
        new RegExp(`process ${process.pid} \\(.*\\) holds the socket @dragonlock-port-${port},`),
      );
      assert.match(error.message, /End that process, or choose another port/);
      return error.name === 'PortHeld';
    });
    await new Promise((resolve) => setImmediate(resolve));
    pass(999);
    assert.deepEqual(told, []);
    pass(1000);
    assert.match(told[0]!, new RegExp(`^Waiting for process ${process.pid} `));
    assert.equal(ended, false);
    pass(10_000);
    const looks = setInterval(pass, 1, 100);
    await refused;
    clearInterval(looks);
  });
}
