/** What a front end asks of each shard, besides commands: what it counts, and to commit and checkpoint everything. */
import type { ShardStats } from '../protocol/stats.ts';
import type { FromShard } from '../protocol/wire/shard-messages.ts';
import type { ShardMail } from './shard-mail.ts';

export class ShardQuestions {
  readonly #mail: ShardMail;
  readonly #nextId: () => number;
  readonly #statsAnswers = new Map<number, (stats: ShardStats) => void>();
  readonly #closeAnswers = new Map<number, () => void>();

  constructor(mail: ShardMail, nextId: () => number) {
    this.#mail = mail;
    this.#nextId = nextId;
  }

  stats(): Promise<ShardStats[]> {
    return this.#askAll('stats', this.#statsAnswers);
  }

  /** Resolves when all shards have checkpointed everything. */
  async close(): Promise<void> {
    await this.#askAll('close', this.#closeAnswers);
  }

  receive({ stats, closed }: Pick<FromShard, 'stats' | 'closed'>): void {
    for (const { id, stats: counted } of stats) take(this.#statsAnswers, id)?.(counted);
    for (const id of closed) take(this.#closeAnswers, id)?.();
  }

  #askAll<Answer>(kind: 'stats' | 'close', answers: Map<number, (answer: Answer) => void>): Promise<Answer[]> {
    const ask = (shard: number): Promise<Answer> =>
      new Promise((resolve) => {
        const id = this.#nextId();
        answers.set(id, resolve);
        this.#mail.send(shard, { kind, id });
      });
    return Promise.all(Array.from({ length: this.#mail.shards }, (_, shard) => ask(shard)));
  }
}

function take<Value>(map: Map<number, Value>, id: number): Value | undefined {
  const value = map.get(id);
  map.delete(id);
  return value;
}
