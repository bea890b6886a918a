/** The contract as a server that random histories can be taken from: nothing in them is ever wrong. */
import { ContractServer } from '../contract/contract-server.ts';
import { plain, type Body } from '../contract/expected.ts';
import type { Answer } from './history.ts';
import type { AnsweringServer } from './random-history.ts';
import type { Command } from '../../../src/protocol/operations/operations.ts';

export class ModelServer implements AnsweringServer {
  readonly #server = new ContractServer(1_000_000);
  readonly #answers = new Map<number, Omit<Answer, 'at'>>();
  #asked = 0;

  get now(): number {
    return this.#server.now;
  }

  ask(command: Command): () => Omit<Answer, 'at'> | undefined {
    this.#asked += 1;
    const ref = this.#asked;
    this.#server.submit(ref, command);
    this.#collect();
    return () => this.#answers.get(ref);
  }

  advance(ms: number): void {
    const till = this.now + ms;
    for (let at = this.#server.nextEnd(); at <= till; at = this.#server.nextEnd()) this.#server.passTo(at);
    this.#server.passTo(till);
    this.#collect();
  }

  restart(downMs: number): void {
    this.#server.restart(this.now + downMs, 'crash');
    this.#collect();
  }

  #collect(): void {
    for (const { ref, outcome, rev } of this.#server.answers) {
      const { status, replayed } = outcome;
      this.#answers.set(ref, { status, body: plain(outcome.body) as Body, rev, ...(replayed ? { replayed } : {}) });
    }
    this.#server.answers = [];
  }
}
