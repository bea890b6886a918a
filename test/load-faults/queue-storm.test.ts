/**
 * Producers and consumers of few queues, with all faults: leases that end, messages that fail again and again, a server
 * that is killed, or stopped for longer than any lease, and consumers to which the same is done. In the end a consumer
 * empties the queues, and the ledger (queue-ledger.ts) judges what all of them saw.
 */
import assert from 'node:assert/strict';
import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { accountId } from '../../src/protocol/ids.ts';
import { unreachable } from '../../src/shared/assert.ts';
import { clockDifference, wallMs } from '../../src/shared/clock.ts';
import type { History, Operation, Restart } from '../support/checkers/history.ts';
import type { Body } from '../support/contract/expected.ts';
import { checkQueues } from '../support/checkers/queue-ledger.ts';
import { checkWitness } from '../support/checkers/witness-checker.ts';
import { sleep, trial } from '../support/crash-trial.ts';
import type { CrashServer } from '../support/crash-server.ts';
import { drainQueues } from '../support/drain-queues.ts';
import { httpCall } from '../support/http-calls.ts';
import type { ReplyBody } from '../support/reply-body.ts';
import type { Command } from '../../src/protocol/operations/operations.ts';
import type { FromQueueStorm, ToQueueStorm } from './queue-storm-process.ts';
import { sized } from './scale.ts';
import { standStill } from './stop-process.ts';

const processes = sized(2, 4);
const clients = sized(6, 24);
const faultsOfEach = sized(1, 8);
const calmMs = sized(400, 2000);
/** Longer than any lease that a client of http-commands.ts takes, but one. */
const stopMs = sized(900, 3500);
const queues = ['q0', 'q1', 'q2'];

const faults = ['kill the server', 'stop the server', 'kill consumers', 'stop consumers'] as const;
type Fault = (typeof faults)[number];

trial(
  `queue storm: ${processes * clients} producers and consumers, kills and stops of both sides: nothing lost, no two live receipts, groups in order`,
  import.meta.url,
  async ({ t, server, seed, random, keep }) => {
    const storm = new QueueStorm(server, seed);
    keep('history.json', () => JSON.stringify(storm.history));
    try {
      await storm.start(1 + (seed % 3));
      for (let n = 0; n < faultsOfEach * faults.length; n += 1) {
        await sleep(calmMs + random.below(calmMs * 0.3));
        await storm.fault(faults[n % faults.length]!, random.below(processes));
      }
      await sleep(calmMs);
      await storm.end();
    } finally {
      storm.dispose();
    }
    const { history } = storm;
    const ledger = checkQueues(history, { settled: true });
    const witness = checkWitness(history);
    await server.stop();
    const unanswered = history.operations.filter(({ answer }) => answer === undefined).length;
    t.diagnostic(JSON.stringify({ operations: history.operations.length, unanswered, ...ledger.counts }));
    const found = [...ledger.violations, ...witness.violations].filter(({ verdict }) => verdict === 'violation');
    assert.deepEqual(
      found.slice(0, 10).map(({ message }) => message),
      [],
    );
    for (const what of ['deliveries', 'redeliveries', 'settled', 'refused', 'ordered'] as const) {
      assert(ledger.counts[what] > 0, `it counted some of: ${what}`);
    }
    assert(unanswered > 0, 'the kills met requests');
  },
);

class QueueStorm {
  readonly #server: CrashServer;
  readonly #seed: number;
  readonly #children: ChildProcess[] = [];
  readonly #operations = new Map<Operation['id'], Operation>();
  readonly #restarts: Restart[] = [];
  #shards = 1;
  #first = 0;
  #held = Promise.withResolvers<void>();

  constructor(server: CrashServer, seed: number) {
    this.#server = server;
    this.#seed = seed;
  }

  get history(): History {
    return { operations: [...this.#operations.values()], restarts: this.#restarts };
  }

  async start(shards: number): Promise<void> {
    this.#shards = shards;
    await this.#startServer();
    for (let i = 0; i < processes; i += 1) this.#children.push(this.#fork());
  }

  /** Right after a consumer was told of a delivery, so that the fault meets one. */
  async fault(fault: Fault, place: number): Promise<void> {
    this.#held = Promise.withResolvers();
    await this.#held.promise;
    const child = this.#children[place]!;
    switch (fault) {
      case 'kill the server': {
        await this.#server.kill();
        const downAt = now();
        this.#tell({ kind: 'server', url: '' });
        await this.#startServer();
        this.#restarts.push({ downAt, startedAt: this.#server.launchedAt, upAt: now() });
        this.#tell({ kind: 'server', url: this.#server.url });
        return;
      }
      case 'stop the server':
        return void (await standStill(this.#server.pid, stopMs));
      case 'kill consumers':
        child.kill('SIGKILL');
        this.#children[place] = this.#fork();
        return;
      case 'stop consumers':
        return void (await standStill(child.pid!, stopMs));
      default:
        return unreachable(fault);
    }
  }

  async end(): Promise<void> {
    const exits = this.#children.map((child) => new Promise((exited) => child.once('exit', exited)));
    this.#tell({ kind: 'end' });
    await Promise.all(exits);
    const client = this.#server.client();
    const ask = async (call: Command): Promise<ReplyBody> => {
      const operation = { id: `end-${this.#operations.size}`, client: 'end', call, sentAt: now() };
      const { method, target, body } = httpCall(call);
      const answer = await client.ask(method, target, body);
      assert(answer !== undefined, 'the server lives');
      const said = answer.body as unknown as Body;
      this.#operations.set(operation.id, { ...operation, answer: { at: now(), status: answer.status, body: said } });
      return answer.body as unknown as ReplyBody;
    };
    await drainQueues({ ask, accounts: [accountId('acme')], queues, waitMs: 15_000, pause: () => sleep(1000) });
    await client.close();
  }

  dispose(): void {
    for (const child of this.#children) child.kill('SIGKILL');
  }

  #fork(): ChildProcess {
    const child = fork(fileURLToPath(new URL('queue-storm-process.ts', import.meta.url)), { execArgv: [] });
    child.on('message', (message: FromQueueStorm) => {
      if (message.kind === 'holds') this.#held.resolve();
      else if (message.kind !== 'ended') this.#operations.set(message.operation.id, message.operation);
    });
    send(child, { kind: 'server', url: this.#server.url });
    send(child, { kind: 'start', seed: this.#seed, first: this.#first, clients });
    this.#first += clients;
    return child;
  }

  #startServer(): Promise<unknown> {
    return this.#server.start({ shards: this.#shards, threads: 2, keepBytes: 1 << 30 });
  }

  #tell(message: ToQueueStorm): void {
    for (const child of this.#children) if (child.connected) send(child, message);
  }
}

function send(child: ChildProcess, message: ToQueueStorm): void {
  child.send(message);
}

const wallAheadMs = clockDifference(wallMs, () => performance.now());

function now(): number {
  return wallAheadMs + performance.now();
}
