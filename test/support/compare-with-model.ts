/** Holds what the server said in one step against what the model expects of it. */
import assert from 'node:assert/strict';
import type { Reply } from '../../src/protocol/replies.ts';
import type { Commit, Expected, NaiveServer } from './naive-server.ts';

export interface Said {
  readonly ref: number;
  readonly reply: Reply;
}

export class Comparison {
  readonly covered = new Set<string>();
  readonly #model: NaiveServer;
  /** The highest revision that was seen. */
  #highest = 0;
  #handle = 0;

  constructor(model: NaiveServer) {
    this.#model = model;
  }

  /** Compares, and tells the model the revisions. */
  step(said: readonly Said[]): void {
    const { answers } = this.#model;
    this.#model.answers = [];
    assert.deepEqual(refs(said), refs(answers), 'exactly those are answered who should be');
    const pairs = answers.map((answer) => {
      const { reply } = said.find(({ ref }) => ref === answer.ref)!;
      return { expected: (answer.or ?? []).find((other) => isMeant(other, reply)) ?? answer, reply };
    });
    for (const { expected, reply } of pairs) assert.equal(reply.status, expected.status, reply.body);
    this.#learn(pairs);
    for (const { expected, reply } of pairs) this.#compare(expected, reply);
  }

  /** Commits of one step have revisions of their own, above all that was seen before. */
  #learn(pairs: readonly { expected: Expected; reply: Reply }[]): void {
    const before = this.#highest;
    const taken = new Set<number>();
    for (const { expected, reply } of pairs) {
      for (const cover of expected.covers) this.covered.add(cover);
      const { mutexHandle } = expected as { mutexHandle?: Commit };
      if (mutexHandle !== undefined) this.#learnMutex(mutexHandle, reply);
      if (expected.commit === undefined || expected.commit.rev !== undefined) continue;
      const { Rev } = JSON.parse(reply.body) as { Rev: number };
      assert.ok(Rev > before && !taken.has(Rev), `revision ${Rev} is new: ${reply.body}`);
      taken.add(Rev);
      expected.commit.rev = Rev;
      this.#highest = Math.max(this.#highest, Rev);
    }
  }

  #learnMutex(handle: Commit, reply: Reply): void {
    const { Lock } = JSON.parse(reply.body) as { Lock: number };
    handle.rev = Lock;
    this.#handle = Math.max(this.#handle, Lock);
  }

  #compare(expected: Expected, reply: Reply): void {
    if (expected.status === 0) return;
    const body = JSON.parse(reply.body) as Record<string, unknown>;
    if (expected.readAt !== undefined) expected.readAt.rev = Number(body['Rev']);
    const wanted = { ...expected.body() };
    assert.equal(reply.replayed, expected.replayed);
    if (expected.commit !== undefined) wanted['Rev'] = expected.commit.rev;
    else if (expected.status === 200) {
      assert.ok(Number(body['Rev']) >= 1, 'every success carries Rev');
      wanted['Rev'] = body['Rev'];
    }
    if (Array.isArray(body['IDs'])) body['IDs'] = sorted(body['IDs']);
    assert.deepEqual(withoutMessages(body), JSON.parse(JSON.stringify(wanted)), reply.body);
    assert.ok(reply.status === 200 || /\w/.test(String(body['Message'])), 'a failure says what is wrong');
  }
}

function refs(list: readonly { readonly ref: number }[]): number[] {
  return list.map(({ ref }) => ref).toSorted((a, b) => a - b);
}

/** Whether this is the one of several possible answers that was given. */
function isMeant(expected: Expected, reply: Reply): boolean {
  if (reply.status !== expected.status) return false;
  const { Code, IDs, Rev } = JSON.parse(reply.body) as Record<string, unknown>;
  const wanted: Record<string, unknown> = { Rev: expected.commit?.rev, ...expected.body() };
  return (
    Code === wanted['Code'] && JSON.stringify(sorted(IDs)) === JSON.stringify(wanted['IDs']) && Rev === wanted['Rev']
  );
}

function sorted(ids: unknown): unknown {
  return Array.isArray(ids) ? ids.map(String).toSorted((a, b) => (a < b ? -1 : 1)) : ids;
}

function withoutMessages(body: Record<string, unknown>): Record<string, unknown> {
  const { Message: _, Failed, ...rest } = body;
  if (!Array.isArray(Failed)) return rest;
  return { ...rest, Failed: Failed.map((item: Record<string, unknown>) => withoutMessages(item)) };
}
