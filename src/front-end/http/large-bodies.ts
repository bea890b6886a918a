/**
 * Large bodies of one front end: the body thread reads them, one at a time, from each account in turn. The thread starts
 * with the first of them. Until a body has its turn, its bytes count as arriving; over that budget it is refused.
 */
import { failure, type Failure } from '../../protocol/errors.ts';
import { decodeToShard } from '../../protocol/wire/shard-wire.ts';
import { assert } from '../../shared/assert.ts';
import { FairQueue } from '../../shared/fair-queue.ts';
import { WorkerLink } from '../../shared/worker-link.ts';
import type { Limits } from '../../shared/limits.ts';
import type { ArrivingBodies } from './body.ts';
import type { BodyContent, BodyGiven, BodyKind } from './parse/body-kinds.ts';
import type { BodyThreadData, BodyToRead, BodyWasRead } from './parse/body-thread.ts';

/** A body over this is read in the body thread. */
export const largeBodyBytes = 64 * 1024;

export interface LargeBodiesOptions {
  readonly url: URL;
  readonly limits: Limits;
  readonly arriving: ArrivingBodies;
  /** Returns the microseconds that this thread has worked, since an arbitrary moment. */
  readonly meter: () => number;
  readonly onFatal: (error: unknown) => void;
}

export interface LargeBody<Kind extends BodyKind = BodyKind> {
  readonly account: string;
  readonly kind: Kind;
  readonly given: BodyGiven<Kind>;
  /** Nobody may use its memory afterwards. */
  readonly bytes: Buffer<ArrayBuffer>;
  /** Called once, never before `read` returns. */
  readonly done: (result: BodyContent<Kind> | Refused) => void;
}

export interface Refused {
  readonly refused: Failure;
}

export class LargeBodies {
  readonly #options: LargeBodiesOptions;
  readonly #queue = new FairQueue<Waiting>();
  #thread: WorkerLink<BodyToRead, BodyWasRead> | undefined;
  #underWay: { readonly body: LargeBody; readonly since: number } | undefined;

  constructor(options: LargeBodiesOptions) {
    this.#options = options;
  }

  read<Kind extends BodyKind>(body: LargeBody<Kind>): void {
    const waiting = new Waiting(body as unknown as LargeBody);
    this.#queue.push(body.account, waiting);
    this.#options.arriving.hold(waiting, body.bytes.buffer.byteLength);
    this.#next();
  }

  async close(): Promise<void> {
    await this.#thread?.terminate();
  }

  #next(): void {
    while (this.#underWay === undefined) {
      const waiting = this.#queue.take(false);
      if (waiting === undefined) return;
      this.#options.arriving.release(waiting);
      const { body } = waiting;
      if (body === undefined) {
        this.#queue.charge(0, false);
        continue;
      }
      this.#underWay = { body, since: this.#options.meter() };
      const { kind, given, bytes } = body;
      this.#thread ??= this.#start();
      this.#thread.send({ kind, given, bytes }, [bytes.buffer]);
    }
  }

  #start(): WorkerLink<BodyToRead, BodyWasRead> {
    const { url, limits, onFatal } = this.#options;
    const workerData: BodyThreadData = { limits };
    return new WorkerLink({
      url,
      name: 'bodies',
      workerData,
      ports: [],
      onFatal,
      onMessage: (read) => this.#answer(read),
    });
  }

  #answer(read: BodyWasRead): void {
    assert(this.#underWay !== undefined, 'the body thread answers what it was asked');
    const { body, since } = this.#underWay;
    this.#underWay = undefined;
    this.#queue.charge(this.#options.meter() - since, false);
    this.#next();
    body.done(contentOf(read));
  }
}

class Waiting {
  /** Undefined: it was given up. */
  body: LargeBody | undefined;

  constructor(body: LargeBody) {
    this.body = body;
  }

  giveUp(): void {
    const { body } = this;
    this.body = undefined;
    process.nextTick(() => body?.done({ refused: tooMany }));
  }
}

function contentOf(read: BodyWasRead): BodyContent<BodyKind> | Refused {
  if (read.kind === 'refused') return { refused: read.failure };
  if (read.kind === 'content') return read.content;
  const [message] = decodeToShard(read.wire);
  if (message?.kind === 'array') return message.batches;
  assert(message?.kind === 'request' && message.command.kind === 'batch', 'a body is one batch, or an array of them');
  return message.command;
}

const tooMany = failure(
  'overloaded',
  'Bodies that wait to be read hold too many bytes (limits.arriving_bytes_max), and this one was the oldest; nothing was done',
);
