/** A bug in a command costs its client one reply, and nobody else anything. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { test } from 'node:test';
import { ByteBudget } from '../../../src/front-end/byte-budget.ts';
import type { RespCommandSpec, RespContext } from '../../../src/front-end/resp/command.ts';
import { commandTable } from '../../../src/front-end/resp/command-table.ts';
import { RespConnection } from '../../../src/front-end/resp/connection.ts';
import { UnreadReplies } from '../../../src/front-end/http/sockets/unread-replies.ts';
import { TurnEnd } from '../../../src/front-end/turn-end.ts';
import { defaultLimits } from '../../../src/shared/limits.ts';

test('a command that throws answers an internal error with its number, is logged, and the connection goes on', async (t) => {
  const bug = new TypeError('a bug of ours');
  const get: RespCommandSpec = {
    ...commandTable.get('get')!,
    plan() {
      throw bug;
    },
  };
  const logged: object[] = [];
  const counted: number[] = [];
  const connections: RespConnection[] = [];
  const server = net.createServer((socket) => {
    connections.push(new RespConnection(contextOf(get, logged, counted), socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = net.connect((server.address() as net.AddressInfo).port, '127.0.0.1');
  t.after(() => {
    client.destroy();
    server.close();
  });
  client.write('PING\r\nGET k\r\nPING\r\n');
  let text = '';
  for await (const chunk of client) if ((text += String(chunk)).endsWith('PONG\r\n') && text.length > 20) break;
  assert.equal(text, '+PONG\r\n-ERR internal error, RequestID 7-1\r\n+PONG\r\n');
  assert.deepEqual(logged, [{ err: bug, requestId: '7-1', operation: 'resp_get' }]);
  assert.deepEqual(counted, [200, 500, 200]);
});

/** As much of a front end as commands need that ask no shard. */
function contextOf(get: RespCommandSpec, logged: object[], counted: number[]): RespContext {
  const context: Partial<RespContext> = {
    commands: new Map([...commandTable, ['get', get]]),
    limits: defaultLimits,
    unreadBytesMax: 2 ** 20,
    turnEnd: new TurnEnd(),
    unread: new UnreadReplies({ bytesMax: 2 ** 20, stallMs: 60_000 }),
    nextClientId: () => 1,
    nextRequestId: () => '7-1',
    log: { error: (details) => void logged.push(details), warn: () => {} },
  };
  const parts = {
    tokens: { isOpen: true },
    metrics: { now: () => 0, count: (_operation: string, status: number) => void counted.push(status) },
    turns: { run: (_account: string, begin: () => void) => begin() },
    arriving: new ByteBudget(2 ** 20, () => {}),
    keyNotifications: { left: () => {} },
  };
  return { ...context, ...parts } as unknown as RespContext;
}
