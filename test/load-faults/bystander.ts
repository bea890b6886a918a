/**
 * A client of another account, beside a flood: it writes, reads, locks, waits for a lock and watches, a few times a
 * second, and nothing of it may be refused.
 */
import assert from 'node:assert/strict';
import { sleep } from '../support/crash-trial.ts';
import { RawConnection, type RawReply } from '../support/raw-connection.ts';

export class Bystander {
  readonly #port: number;
  #stopped = false;
  #running: Promise<void> = Promise.resolve();
  rounds = 0;
  readonly refused: string[] = [];

  private constructor(port: number) {
    this.#port = port;
  }

  static start(port: number): Bystander {
    const bystander = new Bystander(port);
    bystander.#running = bystander.#run();
    return bystander;
  }

  /** @param rounds as many as must have been served */
  async stop(rounds: number): Promise<void> {
    while (this.rounds < rounds && this.refused.length === 0) await sleep(20);
    this.#stopped = true;
    await this.#running;
    assert.deepEqual(this.refused, [], 'another account is served');
  }

  async #run(): Promise<void> {
    const connections = await Promise.all(['holder', 'waiter', 'watcher'].map(() => RawConnection.open(this.#port)));
    const [holder, waiter, watcher] = connections;
    for (let n = 0; !this.#stopped && this.refused.length === 0; n += 1) {
      const key = `/db/bystander/kv/k${n}`;
      await this.#expect(holder!.ask('POST', '/db/bystander/lock/l?id=h&dur=300'));
      const granted = waiter!.ask('POST', '/db/bystander/lock/l?id=w&dur=300&wait=300');
      const watched = watcher!.ask('POST', '/watch/bystander', { ID: `k${n}`, Version: 0, Wait: 300 });
      await this.#expect(holder!.ask('POST', key, n));
      await this.#expect(watched);
      await this.#expect(holder!.ask('POST', '/db/bystander/mlock/m?id=h&dur=300'));
      await this.#expect(holder!.ask('DELETE', '/db/bystander/lock/l?id=h'));
      await this.#expect(granted);
      await this.#expect(holder!.ask('DELETE', '/db/bystander/lock/l?id=w'));
      this.rounds += 1;
      await sleep(100);
    }
    for (const connection of connections) connection!.socket.destroy();
  }

  async #expect(reply: Promise<RawReply | undefined>): Promise<void> {
    const got = await reply;
    if (got?.status !== 200) this.refused.push(`${got?.status} ${got?.body.slice(0, 300)}`);
  }
}
