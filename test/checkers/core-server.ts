/** The core of one shard as a server that random histories can be taken from. */
import { replyStatus } from '../support/reply-status.ts';
import { kinds } from '../../src/protocol/record.ts';
import type { LogRecord } from '../support/checkers/commit-log.ts';
import type { Answer } from '../support/checkers/history.ts';
import type { Body } from '../support/contract/expected.ts';
import type { AnsweringServer } from '../support/checkers/random-history.ts';
import { CoreUnderTest } from '../support/core-under-test.ts';
import type { Command } from '../../src/protocol/operations/operations.ts';

export class CoreServer implements AnsweringServer {
  readonly log: LogRecord[] = [];
  #core = this.#read(new CoreUnderTest());

  get now(): number {
    return this.#core.now;
  }

  ask(command: Command): () => Omit<Answer, 'at'> | undefined {
    const asked = this.#core.ask(command);
    return () => {
      if (asked.reply === undefined) return undefined;
      const { body, rev, replayed } = asked.reply;
      const status = replyStatus(asked.reply);
      return { status, body: JSON.parse(body) as Body, rev, ...(replayed ? { replayed } : {}) };
    };
  }

  advance(ms: number): void {
    this.#core.advance(ms);
  }

  restart(downMs: number): void {
    const now = this.#core.now + downMs;
    const core = this.#core.restart({ at: now }, { now });
    const { rev } = core.state.boot;
    const effects = [{ kind: kinds.boot, key: 'start', till: 0, value: '' }];
    this.log.push({ rev, account: '', effects, by: now });
    this.#core = this.#read(core);
  }

  #read(core: CoreUnderTest): CoreUnderTest {
    core.record = (commit) => void this.log.push({ ...commit, by: core.now });
    return core;
  }
}
