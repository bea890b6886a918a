/** The naive model as a server: one thing after the other, nothing is ever wrong. */
import type { Answer } from './history.ts';
import { end, lockMemoryMs, lockNow } from './model-leases.ts';
import { ModelState, type KvEntry, type LockEntry } from './model-state.ts';
import { respond, restart } from './model-step.ts';
import { Span } from './expected.ts';
import type { AnsweringServer } from './random-history.ts';
import type { Command } from '../../../src/protocol/operations/operations.ts';
import type { LockOperation } from '../../../src/protocol/operations/lock.ts';

interface Waiter {
  readonly call: Command;
  readonly deadline: number;
  answer?: Omit<Answer, 'at'>;
}

export class ModelServer implements AnsweringServer {
  now = 1_000_000;
  readonly state = new ModelState();
  #line: Waiter[] = [];

  ask(command: Command): () => Omit<Answer, 'at'> | undefined {
    this.#expire();
    const waiter: Waiter = { call: command, deadline: this.now + (askOf(command)?.waitMs ?? 0) };
    this.#line.push(waiter);
    this.#serve();
    return () => waiter.answer;
  }

  advance(ms: number): void {
    const till = this.now + ms;
    while (this.now < till) {
      this.now = Math.min(till, this.now + 100);
      this.#expire();
      this.#serve();
    }
  }

  restart(downMs: number): void {
    const downAt = this.now;
    this.#line = [];
    this.now += downMs;
    restart(this.state, { downAt, startedAt: this.now, upAt: this.now }, 0);
    this.state.rev += 1;
    this.#expire();
  }

  #serve(): void {
    let moved = true;
    while (moved) {
      moved = false;
      for (const waiter of this.#line) {
        const { status, body, ...rest } = respond(this.state, waiter.call, this.now);
        if (body.Code === 'not_locked' && waiter.deadline > this.now) continue;
        waiter.answer = { status, body, ...rest, rev: this.state.rev };
        this.#line = this.#line.filter((other) => other !== waiter);
        moved = true;
        break;
      }
    }
  }

  /** What has come to its end ends in commits of its own. */
  #expire(): void {
    for (const [name, entry] of this.state.entries) {
      const { lease, forget } = entry as LockEntry;
      const till = lease?.till ?? forget ?? (entry as KvEntry).till;
      if (till === undefined || till.lo > this.now) continue;
      if (!name.startsWith('m')) this.state.rev += 1;
      if (lease === undefined) {
        this.state.apply([{ name }]);
        continue;
      }
      const now = new Span(this.now, this.now);
      this.state.apply([{ name, entry: end(lockNow(entry as LockEntry, true), 'expired', now, lockMemoryMs) }]);
    }
  }
}

function askOf(command: Command): LockOperation | undefined {
  return command.kind === 'batch' || command.kind === 'mutex.lock' ? command.lock : undefined;
}
