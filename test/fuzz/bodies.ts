/**
 * JSON bodies, by grammar: for every call with a body, valid bodies, and the same with fields that are wrong, missing,
 * unknown or extreme. A body is either refused with a message that names the field, or becomes a command that crosses
 * to a shard unchanged and that the core answers. Nothing else may happen, whatever the body holds.
 *
 * One input is a short history on a fresh core, so that bodies meet locks, keys and idempotency ids of earlier ones.
 * Some of them go the whole way through the HTTP door.
 */
import assert from 'node:assert/strict';
import type { FastifyInstance } from 'fastify';
import { buildApp } from '../../src/front-end/http/app.ts';
import { loadConfig } from '../../src/main/config/config.ts';
import { allocateSharedCounters } from '../../src/front-end/shared-counters.ts';
import { allocateClock } from '../../src/shared/clock.ts';
import { batchCommand } from '../../src/front-end/http/parse/batch.ts';
import { parseJson } from '../../src/front-end/http/parse/json.ts';
import { watchAsk } from '../../src/front-end/http/parse/watch.ts';
import { errorCodes } from '../../src/protocol/errors.ts';
import { accountId, revision } from '../../src/protocol/ids.ts';
import type { Reply } from '../../src/protocol/replies.ts';
import { decodeToShard, encodeToShard } from '../../src/protocol/wire/shard-wire.ts';
import { BatchArrayItem } from '../../src/router/batch-array/batch-array-item.ts';
import type { BatchReplySink, ReplySink, Dispatcher, Cancelable } from '../../src/router/dispatcher.ts';
import { unreachable } from '../../src/shared/assert.ts';
import { defaultLimits } from '../../src/shared/limits.ts';
import { CoreUnderTest } from '../support/core-under-test.ts';
import type { SeededRandom } from '../support/seeded-random.ts';
import { chance, fuzzEach, pick, type Fuzz, type Tally } from './fuzz.ts';
import {
  anyText,
  booleanText,
  handleText,
  integerText,
  key,
  keyText,
  list,
  object,
  secondsText,
  versionText,
  type Fields,
  type Part,
} from './grammar.ts';
import { queueFields } from './queue-fields.ts';
import { jsonText } from '../../src/protocol/operations/fields.ts';
import { Refusal } from '../../src/protocol/refusal.ts';
import type { Batch, Command } from '../../src/protocol/operations/operations.ts';
import { replyStatus } from '../support/reply-status.ts';

const account = accountId('acme');
/** Small, so that limits are met. */
const limits = { ...defaultLimits, value_bytes_max: 2000, batch_operations_max: 20, waiters_per_lock_max: 2 };

export const fuzzBodies: Fuzz = async (seed, count, onProgress) => {
  const door = new DoorOverCore();
  try {
    return await fuzzEach({ target: 'bodies', seed, count, onProgress }, (random, tally) => {
      const core = new CoreUnderTest({ limits });
      if (chance(random, 0.1)) return door.history(core, random, tally);
      for (let step = 1 + random.below(12); step > 0; step -= 1) oneBody(core, random, tally);
      return undefined;
    });
  } finally {
    await door.close();
  }
};

function oneBody(core: CoreUnderTest, random: SeededRandom, tally: Tally): void {
  const call = pick(random, ['batch', 'batch', 'batch', 'watch', 'value'] as const);
  const text = bodyText(random, chance(random, 0.9) ? call : undefined);
  tally.note('bodies');
  let commands: Command[];
  try {
    commands = commandsOf(call, parseJson(text), random);
  } catch (error) {
    if (!(error instanceof Refusal))
      assert.fail(`expected a refusal, got ${describe(error)} for ${text.slice(0, 500)}`);
    assertNamesField(error.failure.message, text);
    return tally.note(`refused: ${error.failure.code}`);
  }
  for (const command of commands) {
    const [message] = decodeToShard(encodeToShard([{ kind: 'request', id: 1, command }]));
    assert.deepEqual(
      message,
      { kind: 'request', id: 1, command },
      `a command crosses unchanged: ${text.slice(0, 500)}`,
    );
    let asked;
    try {
      asked = core.ask(command);
    } catch (error) {
      throw new Error(`the core threw ${describe(error)} for ${text.slice(0, 500)}`, { cause: error });
    }
    if (asked.waits) tally.note('waits');
    else {
      assertReply(asked.reply!);
      tally.note(asked.status === 200 ? `answered: ${command.kind}` : `answered: ${asked.status}`);
    }
  }
  if (chance(random, 0.3)) core.advance(random.below(100_000));
}

const clock = allocateClock();

function commandsOf(call: 'batch' | 'watch' | 'value', json: unknown, random: SeededRandom): Command[] {
  switch (call) {
    case 'watch': {
      const ask = watchAsk(json, account, limits);
      if (ask.kind === 'prefix') return [];
      return ask.keys.map(({ key, version }) => ({ kind: 'watch.key', account, key, version }));
    }
    case 'value': {
      const value = jsonText(json, 'body', { bytes: limits.value_bytes_max, name: 'limits.value_bytes_max' });
      // Only −0 becomes 0.
      assert.equal(JSON.stringify(JSON.parse(value)), JSON.stringify(json), 'a value is kept as it is');
      return [{ kind: 'batch', account, format: 'kv.set', set: [{ key: 'a', value }] }];
    }
    case 'batch': {
      const header = chance(random, 0.1) ? { ids: ['h'], ttlMs: 1000, mode: 'replay' as const } : undefined;
      return [batchCommand(json, { account, limits, clock, cronTasks: { left: 100 }, header, root: '' })];
    }
    default:
      return unreachable(call);
  }
}

/** `field: what was wrong`, or a message about the body as a whole. */
function assertNamesField(message: string, text: string): void {
  const fits = /^(The body is|.+?: \S)/s;
  assert.match(message, fits, `a refusal names what is wrong: ${text.slice(0, 500)}`);
}

function assertReply(reply: Reply): void {
  if (replyStatus(reply) === 0 || replyStatus(reply) === 204) return;
  const body = JSON.parse(reply.body) as { Code?: string; Message?: string };
  if (replyStatus(reply) === 200) return;
  const entry = errorCodes[body.Code as keyof typeof errorCodes];
  assert.ok(
    entry?.status === replyStatus(reply) && entry.status < 500 && body.Message,
    `a known failure: ${reply.body}`,
  );
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

/** The HTTP door on a core, without router and threads. */
class DoorOverCore implements Dispatcher {
  readonly #app: FastifyInstance;
  readonly #errors: object[] = [];
  #core = new CoreUnderTest({ limits });

  constructor() {
    const config = { ...loadConfig({ argv: [], env: {}, cores: 2, readFile: () => '' }), limits };
    this.#app = buildApp({
      config,
      dispatcher: this,
      index: 0,
      counters: allocateSharedCounters(config),
      boot: 'boot',
      version: '0',
      log: { error: (details) => void this.#errors.push(details), warn: () => undefined },
      lifecycle: { state: () => 'serving', onceStarted: () => () => undefined },
    });
  }

  async history(core: CoreUnderTest, random: SeededRandom, tally: Tally): Promise<void> {
    this.#core = core;
    for (let step = 1 + random.below(8); step > 0; step -= 1) {
      const method = pick(random, ['POST', 'POST', 'POST', 'PUT', 'GET', 'DELETE'] as const);
      const url = restUrl(random, method);
      const payload = method === 'GET' || chance(random, 0.2) ? undefined : bodyText(random, undefined);
      const headers: Record<string, string> = chance(random, 0.8) ? {} : { 'idempotency-key': key(random) };
      if (payload !== undefined && chance(random, 0.9)) {
        headers['content-type'] = pick(random, [
          'application/json',
          'application/json; charset=utf-8',
          'text/plain',
          'x',
        ]);
      }
      const response = await this.#app.inject({ method, url, headers, ...(payload !== undefined && { payload }) });
      const asked = `${method} ${url} ${payload?.slice(0, 300) ?? ''} → ${response.statusCode} ${response.body}`;
      assert.ok(response.statusCode < 500, asked);
      assert.deepEqual(this.#errors, [], asked);
      if (response.statusCode >= 400) {
        const { Code, Message } = response.json<{ Code: string; Message: string }>();
        assert.ok(Code in errorCodes && Message.length > 0, asked);
      }
      tally.note(`http: ${response.statusCode}`);
    }
  }

  close(): PromiseLike<unknown> {
    return this.#app.close();
  }

  request(command: Command, client: ReplySink): Cancelable {
    const asked = this.#core.ask(command);
    // No client unlocks: time ends the wait.
    if (asked.waits) this.#core.advance(400_000);
    client.deliver(asked.reply!);
    return { cancel: () => undefined };
  }

  requestAll(batches: readonly Batch[], client: BatchReplySink): Cancelable {
    batches.forEach((batch, place) => this.request(batch, new BatchArrayItem(client, place)));
    return { cancel: () => undefined };
  }

  watchKeys(_account: unknown, _keys: unknown, _waitMs: number, client: ReplySink): Cancelable {
    return this.#nothing(client);
  }

  watchPrefix(_watch: unknown, client: ReplySink): Cancelable {
    return this.#nothing(client);
  }

  streamPrefix(_watch: unknown, sink: { end(): void }): Cancelable {
    sink.end();
    return { cancel: () => undefined };
  }

  watches(): readonly [] {
    return [];
  }

  stats(): never {
    throw new Error('expected no request for metrics');
  }

  #nothing(client: ReplySink): Cancelable {
    client.deliver({ rev: revision(0), outcome: 'none', body: '' });
    return { cancel: () => undefined };
  }
}

const queueVerbs = ['queue', 'dequeue', 'ack', 'nack', 'extend', 'pause/queue', 'resume/queue', 'purge', 'redrive'];

function restUrl(random: SeededRandom, method: 'GET' | 'POST' | 'PUT' | 'DELETE'): string {
  const id = encodeURIComponent(key(random).toWellFormed());
  const number = pick(random, ['0', '1', '-1', '5', '9007199254740991', '1e3', '', 'x', '300', '0.0001', '86401']);
  const calls = {
    POST: ['', '', 'kv', 'counter', 'sequence', 'lock', 'mlock', 'munlock', 'limit', ...queueVerbs],
    PUT: ['queue'],
    GET: ['kv', 'counter', 'sequence', 'lock', 'queue', 'peek'],
    DELETE: ['kv', 'counter', 'sequence', 'lock', 'queue'],
  }[method];
  const call = pick(random, calls);
  if (call === '') return chance(random, 0.3) ? '/watch/acme' : '/db/acme';
  const path = chance(random, 0.1) ? `/db/acme/${call}` : `/db/acme/${call}/${id}`;
  const names = [
    'ver',
    'ttl',
    'add',
    'n',
    'dur',
    'wait',
    'id',
    'lock',
    'fence',
    'prefix',
    'after',
    'limit',
    'rate',
    'cost',
    'max',
    'delay',
    'priority',
    'state',
    'do',
    'nonsense',
  ];
  const query = Array.from({ length: random.below(3) }, () => `${pick(random, names)}=${number}`).join('&');
  const usual = call.endsWith('lock') && method === 'POST' && chance(random, 0.7) ? `dur=30&id=${id}` : query;
  return usual === '' ? path : `${path}?${usual}`;
}

/** JSON as text, so that it can hold more than JavaScript values can express. */
export function bodyText(random: SeededRandom, call: 'batch' | 'watch' | 'value' | undefined): string {
  const part = { batch: batchText, watch: watchText, value: anyText };
  const text = part[call ?? pick(random, ['batch', 'watch', 'value'] as const)](random);
  if (chance(random, 0.95)) return text;
  const at = random.below(text.length + 1);
  return (
    text.slice(0, at) +
    pick(random, ['', ',', '"', '{', ']', '\ud800', '\u0000', '1e999']) +
    text.slice(at + random.below(4))
  );
}

/** As a key that is named, or those under a prefix. */
const pageText: Part = (random) =>
  object(
    random,
    pick(random, [
      [['Key', keyText, 0.98]],
      [
        ['Prefix', keyText, 0.98],
        ['After', keyText, 0.2],
        ['Limit', integerText, 0.5],
      ],
    ] satisfies Fields[]),
  );

const batchFields: Fields = [
  ['LockID', keyText, 0.3],
  ['LockDur', secondsText, 0.3],
  ['LockWait', secondsText, 0.1],
  ['LockOwner', keyText, 0.1],
  ['LockMeta', anyText, 0.1],
  ['UnlockID', keyText, 0.2],
  ['Unlock', handleText, 0.2],
  [
    'Guard',
    list((random) =>
      object(random, [
        ['LockID', keyText, 0.98],
        ['Lock', handleText, 0.98],
      ]),
    ),
    0.1,
  ],
  [
    'Check',
    list((random) =>
      object(random, [
        ['Key', keyText, 0.98],
        pick(random, [
          ['Version', versionText, 0.98],
          ['Version', versionText, 0.98],
          ['Exists', booleanText, 0.98],
          ['Equals', anyText, 0.98],
        ] satisfies Fields),
        ['Counter', keyText, 0.03],
      ]),
    ),
    0.15,
  ],
  ['IdempotencyIDs', list(keyText), 0.15],
  ['IdempotencyTTL', secondsText, 0.05],
  ['IdempotencyMode', () => '"replay"', 0.05],
  [
    'Atomic',
    list((random) =>
      object(random, [
        ['Key', keyText, 0.98],
        [pick(random, ['Add', 'Set', 'Max', 'Min']), integerText, 0.98],
        ['IfEq', integerText, 0.1],
        ['Floor', integerText, 0.1],
        ['Ceil', integerText, 0.1],
        ['TTL', secondsText, 0.1],
      ]),
    ),
    0.3,
  ],
  ['KVGet', list((random) => (chance(random, 0.7) ? keyText(random) : pageText(random))), 0.3],
  [
    'KVSet',
    list((random) =>
      object(random, [
        ['Key', keyText, 0.98],
        [chance(random, 0.8) ? 'Value' : 'Merge', anyText, 0.8],
        ['Old', booleanText, 0.1],
        ['Version', versionText, 0.2],
        ['Delete', () => 'true', 0.15],
        ['TTL', secondsText, 0.2],
      ]),
    ),
    0.5,
  ],
  [
    'Limit',
    list((random) =>
      object(random, [
        ['Key', keyText, 0.98],
        ['Rate', secondsText, 0.98],
        ['Per', secondsText, 0.3],
        ['Burst', integerText, 0.3],
        ['Cost', integerText, 0.3],
        ['Wait', secondsText, 0.1],
      ]),
    ),
    0.1,
  ],
];
/** Fields that belong together mostly occur together. */
const lockFields: Fields = batchFields
  .filter(([name]) => !['Guard', 'Check', 'Atomic', 'UnlockID', 'Unlock'].includes(name))
  .map(([name, value, often]) => {
    if (name === 'LockWait') return [name, value, 0.7];
    if (name === 'LockID') return [name, (random) => (chance(random, 0.7) ? '"a"' : value(random)), 0.97];
    return [name, value, name === 'LockDur' ? 0.97 : often / 4];
  });

const batchText: Part = (random) =>
  object(
    random,
    chance(random, 0.5)
      ? chance(random, 0.6)
        ? lockFields
        : queueFields
      : [...batchFields, ...queueFields].filter(([name]) => !name.startsWith('Lock') || chance(random, 0.05)),
  );

const watchText: Part = (random) =>
  object(
    random,
    pick(random, [
      [
        ['ID', keyText, 0.98],
        ['Version', versionText, 0.7],
        ['Wait', secondsText, 0.5],
      ],
      [
        [
          'IDs',
          list((random) =>
            object(random, [
              ['ID', keyText, 0.98],
              ['Version', versionText, 0.7],
            ]),
          ),
          0.98,
        ],
        ['Wait', secondsText, 0.5],
      ],
      [
        ['Prefix', keyText, 0.98],
        ['After', versionText, 0.7],
        ['Limit', integerText, 0.3],
        ['Wait', secondsText, 0.3],
      ],
    ] satisfies Fields[]),
  );
