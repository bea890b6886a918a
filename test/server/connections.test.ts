/** Limits of connections, with real sockets: refused ones get a whole reply, and nothing goes down for lack of files. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { test, type TestContext } from 'node:test';
import { RawConnection } from '../support/raw-connection.ts';
import { ServerUnderTest, eventually } from '../support/server-under-test.ts';

const request =
  'POST /db/acc/kv/k HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1\r\n\r\n1';

async function connectTo(t: TestContext, server: ServerUnderTest, localAddress = '127.0.0.1'): Promise<net.Socket> {
  const socket = net.connect({ host: '127.0.0.1', port: server.port, localAddress });
  socket.on('error', () => undefined);
  t.after(() => socket.destroy());
  await once(socket, 'connect');
  return socket;
}

/** What the server says until it closes the connection. */
async function answer(socket: net.Socket): Promise<string> {
  socket.write(request);
  let text = '';
  for await (const chunk of socket) text += String(chunk);
  return text;
}

const connections = async (server: ServerUnderTest): Promise<number> => {
  return connectionsIn((await server.call('GET', '/metrics')).text);
};

function connectionsIn(metrics: string): number {
  const rows = [...metrics.matchAll(/^dragonlock_connections\{[^}]*\} (\d+)$/gm)];
  return rows.reduce((sum, [, count]) => sum + Number(count), 0);
}

test('a connection over the limit of its address is answered 503 and closed; others go on, and a place that is free is given again', async (t) => {
  const config = 'http: { threads: 2 }\nlimits: { connections_per_address_max: 5 }';
  const server = await ServerUnderTest.forTest(t, { config });
  const held = await Promise.all(Array.from({ length: 5 }, () => connectTo(t, server, '127.0.0.9')));
  await eventually('5 are open beside those of the test', async () => (await connections(server)) >= 6);
  const refused = await answer(await connectTo(t, server, '127.0.0.9'));
  assert.match(refused, /^HTTP\/1\.1 503 Service Unavailable\r\n/);
  assert.match(refused, /\r\nConnection: close\r\n/);
  assert.match(refused, /\r\nRetry-After: 1\r\n/);
  assert.match(refused, new RegExp(`\r\nDragonlock-Boot: ${server.boot}\r\n`));
  const body = JSON.parse(refused.slice(refused.indexOf('\r\n\r\n'))) as { Code: string; Message: string };
  assert.equal(body.Code, 'overloaded');
  assert.match(body.Message, /This address has 5 open connections/);
  await server.fails('not_found', 'GET', '/db/acc/kv/k');
  held[0]!.destroy();
  await eventually('there is a place again', async () => {
    const next = await connectTo(t, server, '127.0.0.9');
    next.write(request);
    const [reply] = (await once(next, 'data')) as [Buffer];
    return reply.toString().startsWith('HTTP/1.1 200');
  });
});

test('idle connections cannot use up the files of the process: it answers, writes go on, and it stays up', async (t) => {
  const config =
    'shards: 1\nhttp: { threads: 1 }\njournal: { segment_bytes: 4194304 }\nlimits: { body_bytes_max: 1048576 }';
  const server = ServerUnderTest.prepare({ config, wrapper: ['bash', '-c', 'ulimit -n 256; exec "$0" "$@"'] });
  t.after(() => server.dispose(t.passed));
  await server.start();
  const warned = server.logs.find(({ msg }) => msg.startsWith('The process may open 256 files'));
  const most = Number(/at most (\d+) connections/.exec(warned?.msg ?? '')?.[1]);
  assert.ok(most > 20 && most < 256, `${most}`);
  const client = await RawConnection.open(server.port);
  await Promise.all(Array.from({ length: 400 }, () => connectTo(t, server)));
  const value = 'x'.repeat(500_000);
  for (let i = 0; i < 30; i += 1) {
    const reply = await client!.ask('POST', '/db/acc', { KVSet: { Key: `${i % 3}`, Value: value } });
    assert.equal(reply?.status, 200, reply?.body ?? 'the connection is closed');
  }
  const metrics = await client!.ask('GET', '/metrics');
  assert.ok(Number(/^dragonlock_journal_segments (\d+)/m.exec(metrics!.body)?.[1]) > 2, 'segments were changed');
  assert.ok(connectionsIn(metrics!.body) <= most + 64);
  await server.stop();
});
