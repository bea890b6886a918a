/**
 * Many clients and few locks, with all faults: waits that time out, leases that end, clients that disconnect or are
 * stopped, a server that is killed or stopped for longer than any lease. The verdict follows from what the clients saw
 * (storm-ledger.ts), and from the history of their guarded writes.
 */
import assert from 'node:assert/strict';
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { unreachable } from '../../src/shared/assert.ts';
import { machineMs } from '../../src/shared/clock.ts';
import { sleep, trial } from '../support/crash-trial.ts';
import type { CrashServer, WatchEvent } from '../support/crash-server.ts';
import { sized } from './scale.ts';
import { standStill } from './stop-process.ts';
import { judge, type Call, type Fault } from './storm-ledger.ts';
import type { StormOptions, Whereabouts } from './storm-client.ts';
import type { ToStormProcess } from './storm-process.ts';

const clients = sized(40, 200);
const locks = sized(6, 20);
const processes = sized(2, 4);
const faultsOfEach = sized(1, 6);
const durMsMax = sized(400, 1500);
const calmMs = sized(450, 2500);

trial(
  `lock storm: ${clients} clients, ${locks} locks, kills, stops and stale fences: no two holders, and first come, first served`,
  import.meta.url,
  async ({ t, server, seed, random, keep }) => {
    const shards = 1 + (seed % 3);
    const storm = new Storm(server, { seed, locks, shards, durMsMax });
    const faults: Fault[] = [];
    let calls: Call[] = [];
    keep('faults.json', () => JSON.stringify(faults));
    keep('calls.jsonl', () => calls.map((call) => JSON.stringify(call)).join('\n'));
    try {
      await storm.start();
      // Twice, because the stopped clients hold a lock at that moment only by chance.
      const kinds: Fault['kind'][] = ['kill', 'stop clients', 'stop', 'stop clients'];
      for (let n = 0; n < faultsOfEach * kinds.length; n += 1) {
        await sleep(calmMs + random.below(calmMs * 0.3));
        faults.push(await storm.fault(kinds[n % kinds.length]!, random.below(processes)));
      }
      await sleep(calmMs);
      calls = await storm.end();
    } finally {
      storm.dispose();
    }
    const counts = judge(calls, faults);
    const events = await historyOfWrites(server);
    const kept = judgeWrites(events, calls);
    await server.stop();
    t.diagnostic(JSON.stringify({ shards, clients, locks, calls: calls.length, ...counts, 'writes in order': kept }));
    for (const [what, count] of Object.entries(counts)) {
      if (what !== 'unanswered') assert(count > 0, `it counted some of: ${what}`);
    }
    assert.equal(counts['kills that met holders and waiters'], faultsOfEach);
    assert.equal(counts['stops that leases ran out in'], faultsOfEach);
  },
);

class Storm {
  readonly #server: CrashServer;
  readonly #options: StormOptions;
  readonly #children: ChildProcess[] = [];
  #life = 0;

  constructor(server: CrashServer, options: StormOptions) {
    this.#server = server;
    this.#options = options;
  }

  async start(): Promise<void> {
    await this.#startServer();
    const each = clients / processes;
    for (let i = 0; i < processes; i += 1) {
      const child = fork(fileURLToPath(new URL('storm-process.ts', import.meta.url)), { execArgv: [] });
      this.#children.push(child);
      send(child, { kind: 'server', where: this.#where() });
      send(child, { kind: 'start', options: this.#options, process: i, first: i * each, clients: each });
    }
    await Promise.all(this.#children.map((child) => this.#holds(child)));
  }

  async fault(kind: Fault['kind'], process: number): Promise<Fault> {
    const stopMs = durMsMax * 1.4;
    await this.#holds(this.#children[process]!);
    switch (kind) {
      case 'kill': {
        const from = machineMs();
        await this.#server.kill();
        this.#tell({ life: this.#life, port: 0 });
        await this.#startServer();
        this.#tell(this.#where());
        return { kind, from, to: machineMs() };
      }
      case 'stop':
        return { kind, ...(await standStill(this.#server.pid, stopMs)) };
      case 'stop clients':
        return { kind, process, ...(await standStill(this.#children[process]!.pid!, stopMs)) };
      default:
        return unreachable(kind);
    }
  }

  /** @returns what all of them saw */
  async end(): Promise<Call[]> {
    const seen = await Promise.all(
      this.#children.map(async (child) => {
        send(child, { kind: 'end' });
        const [calls] = (await once(child, 'message')) as [Call[]];
        return calls;
      }),
    );
    return seen.flat();
  }

  dispose(): void {
    for (const child of this.#children) child.kill('SIGKILL');
  }

  /** @returns when one of these clients has just got a lock: a fault has something to meet */
  async #holds(child: ChildProcess): Promise<void> {
    send(child, { kind: 'tell when one holds' });
    await once(child, 'message');
  }

  async #startServer(): Promise<void> {
    await this.#server.start({ shards: this.#options.shards, threads: 2, keepBytes: 1 << 30 });
    this.#life += 1;
  }

  #where(): Whereabouts {
    return { life: this.#life, port: this.#server.port };
  }

  #tell(where: Whereabouts): void {
    for (const child of this.#children) send(child, { kind: 'server', where });
  }
}

function send(child: ChildProcess, message: ToStormProcess): void {
  child.send(message);
}

async function historyOfWrites(server: CrashServer): Promise<WatchEvent[]> {
  const client = server.client();
  const events: WatchEvent[] = [];
  for (let after = 0; ; ) {
    const answer = await client.ask('POST', '/watch/storm', { Prefix: 'w/', After: after, Wait: 0, Limit: 1000 });
    assert(answer?.status === 200 || answer?.status === 204, `history is there: ${answer?.status} ${answer?.text}`);
    if (answer.status === 204) break;
    if (answer.body.Events.length === 0) break;
    events.push(...answer.body.Events);
    after = answer.body.Rev;
  }
  await client.close();
  return events;
}

/**
 * Checks that guarded writes, answered or not, are in the order of the fences, and that no acknowledged one is lost.
 */
function judgeWrites(events: readonly WatchEvent[], calls: readonly Call[]): number {
  const fences = new Map<string, number>();
  for (const { Key, Value, Rev } of events) {
    const before = fences.get(Key) ?? 0;
    assert(before <= Number(Value), `${Key} at ${Rev}: written with ${Number(Value)} after ${before}`);
    fences.set(Key, Number(Value));
  }
  const written = new Set(events.map(({ Key, Value, Rev }) => `${Key} ${Rev} ${Number(Value)}`));
  for (const call of calls) {
    if (call.kind !== 'write' || call.status !== 200) continue;
    assert(written.has(`w/${call.lock} ${call.rev} ${call.fence}`), `it is there: ${JSON.stringify(call)}`);
  }
  return events.length;
}
