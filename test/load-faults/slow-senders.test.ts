/**
 * Clients that send slowly, or stop: in the head, in the body, or in the middle of 8 MiB. Timeouts end them, the bytes
 * held for them have a limit, and well-behaved clients are not slowed down.
 */
import assert from 'node:assert/strict';
import { trial, sleep } from '../support/crash-trial.ts';
import { closeAll, openMany, requestBytes, type RawConnection } from '../support/raw-connection.ts';
import { eventually } from '../support/server-under-test.ts';
import { FastClients } from './fast-clients.ts';
import { Memory, mib, openFiles } from './memory.ts';
import { sized, tooFewFiles } from './scale.ts';

const senders = sized(60, 1000);
const windowMs = sized(700, 2000);
const rounds = 4;
/** A fraction of the bytes that all bodies hold at full scale. */
const arrivingMib = sized(64, 128);
const nothing = (): void => {};
const truthful = new Set(['', '400 invalid', '503 overloaded']);

trial(
  `${senders} clients that send byte by byte, or stop half-way, are ended in time; what is kept of them is bounded, and others are served as before`,
  import.meta.url,
  async ({ t, server, seed, random }) => {
    const timeouts = sized(2000, 6000);
    await server.start({
      shards: 1,
      config: [
        `http: { header_timeout_ms: ${timeouts}, request_timeout_ms: ${timeouts} }`,
        `limits: { arriving_bytes_max: ${arrivingMib * mib} }`,
      ],
    });
    const client = server.client();
    const fast = await FastClients.start(server.port);
    // Its connection is kept, and is one of those that are not slow.
    assert.equal((await client.ask('GET', '/livez'))?.status, 200);
    const own = openFiles(server.pid);
    const ended = async (): Promise<boolean> => openFiles(server.pid) <= own;
    const memory = new Memory(server.pid);
    const before = memory.peakMib;
    const counted = { trickling: 0, 'stopped in the head': 0, 'stopped in the body': 0, 'large bodies': 0 };
    const answers = new Map<string, number>();
    const body = JSON.stringify({ KVSet: [{ Key: 'slow', Value: 'x'.repeat(900) }] });
    const request = requestBytes('POST', '/db/slow', JSON.parse(body));
    const large = `POST /db/slow HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${8 * mib}\r\n\r\n`;
    /** Fast enough to reach the limit, or, while others are measured, so slow that the sending itself is no load. */
    const paces = {
      filling: { piece: Buffer.alloc(mib / 4, 0x20), everyMs: 10 },
      slow: { piece: Buffer.alloc(16 * 1024, 0x20), everyMs: senders },
    };
    let pace: keyof typeof paces = 'filling';
    let slow: RawConnection[] = [];
    let stop = nothing;

    /** Begins a request and never ends it. */
    const begin = ({ socket }: RawConnection, i: number, timers: NodeJS.Timeout[]): void => {
      switch (i % 4) {
        case 0: {
          counted.trickling += 1;
          let at = 0;
          timers.push(
            setInterval(
              () => void (socket.destroyed || socket.write(request[at++ % (request.length - 1)]!)),
              sized(50, 500),
            ),
          );
          return;
        }
        case 1:
          counted['stopped in the head'] += 1;
          return void socket.write(request.slice(0, 1 + random.below(40)));
        case 2:
          counted['stopped in the body'] += 1;
          return void socket.write(request.slice(0, request.length - 1 - random.below(500)));
        default: {
          counted['large bodies'] += 1;
          socket.write(large);
          const { piece, everyMs } = paces[pace];
          let left = Math.floor((7 * mib) / piece.length);
          const more = (): void => {
            if (left-- > 0 && !socket.destroyed) socket.write(piece, () => timers.push(setTimeout(more, everyMs)));
          };
          more();
        }
      }
    };
    const apply = async (): Promise<void> => {
      slow = await openMany(server.port, senders);
      const timers: NodeJS.Timeout[] = [];
      stop = () => timers.forEach(clearTimeout);
      slow.forEach((connection, i) => begin(connection, i, timers));
      // By then the sent parts of the large bodies have arrived.
      await sleep(sized(500, 2500));
    };
    const lift = async (): Promise<void> => {
      stop();
      await closeAll(slow);
    };

    for (let round = 0; round < rounds; round += 1) {
      await apply();
      assert.equal((await client.ask('GET', '/livez'))?.status, 200);
      await client.must('POST', '/db/others', { KVSet: [{ Key: 'k', Value: round }] });
      await eventually('the server has ended them all', ended, 30_000);
      await Promise.all(slow.map(({ closed }) => closed));
      for (const { unasked } of slow) {
        const said = unasked.map(({ status, body }) => `${status} ${/"Code":"(\w+)"/.exec(body)?.[1]}`).join();
        answers.set(said, (answers.get(said) ?? 0) + 1);
      }
      await lift();
      await memory.level();
    }
    pace = 'slow';
    const verdict = await fast.compare({ apply, lift }, windowMs);
    const figures = { seed, senders, rounds, ...counted, answers: Object.fromEntries(answers), ...verdict };
    t.diagnostic(JSON.stringify({ ...figures, levelsMib: memory.levelsMib, peakMib: memory.peakMib }));
    memory.assertFlat(96);
    memory.assertPeakBelow(before + 3 * arrivingMib + 300);
    assert(answers.get('400 invalid')! > 0, 'timeouts ended some, with an answer');
    assert(
      [...answers.keys()].some((said) => said.startsWith('503 overloaded')),
      'bodies were given up, with an answer',
    );
    const wrong = [...answers.keys()].filter((said) => !truthful.has(said));
    assert.deepEqual(wrong, [], 'nothing is answered as if it had been whole, and nobody twice');
    assert.equal(
      (await client.ask('GET', '/db/slow/kv/slow'))?.status,
      404,
      'nothing that was not whole has been done',
    );
    await fast.close();
    await client.close();
    await server.stop();
  },
  { skip: tooFewFiles(senders) },
);
