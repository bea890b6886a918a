/**
 * A node's session: its beats, and until when they cover what it answers from memory.
 *
 * Writes need no clock: the engine checks their epoch. A read does: the owner answers from memory, and must not be one that
 * others have replaced. An acknowledged beat covers what is evaluated until `coverMs` after it was *sent*; whoever takes a
 * cell has seen no beat for longer (watch-nodes.ts). Clocks are monotonic, and may differ in rate by a quarter.
 */
import { assert } from '../shared/assert.ts';
import type { Engine, Session } from './engine.ts';
import { definite } from './fenced-log.ts';

export const beatEveryMs = 500;
export const coverMs = 2000;

export interface SessionDependencies {
  readonly engine: Engine;
  /** Monotonic milliseconds of this machine. */
  readonly now: () => number;
}

export class NodeSession {
  readonly id: Session;
  readonly node: string;
  readonly #engine: Engine;
  readonly #now: () => number;
  #coveredUntil = -Infinity;
  /** When the last beat was acknowledged. */
  #beatenAt = -Infinity;
  #isLost = false;

  constructor(node: string, id: Session, { engine, now }: SessionDependencies) {
    this.node = node;
    this.id = id;
    this.#engine = engine;
    this.#now = now;
  }

  /** The session is dead, or another one has its place: its cells are gone, and a new session has to be made. */
  get isLost(): boolean {
    return this.#isLost;
  }

  /** When the last beat was acknowledged, on this machine's clock. */
  get beatenAt(): number {
    return this.#beatenAt;
  }

  /** Whether what was evaluated before now may be told. Ask after evaluating, never before. */
  get isCovered(): boolean {
    return !this.#isLost && this.#now() < this.#coveredUntil;
  }

  /**
   * Registers the session, in the place of the one that the node had before.
   *
   * @param isOwn whether this very node has had that session; any other under its name is of a process that may still live
   * @returns `taken`: it does; try again when it has been declared dead. `lost`: this session has joined, and was declared
   *   dead before any answer told so
   */
  async join(isOwn: (session: Session) => boolean, pause: () => Promise<void>): Promise<'joined' | 'taken' | 'lost'> {
    for (;;) {
      const nodes = await definite(() => this.#engine.nodes(), pause);
      assert(nodes !== 'refused', 'a look has no condition');
      const before = nodes.find(({ node }) => node === this.node);
      if (before?.session === this.id && before.dead) {
        this.#isLost = true;
        return 'lost';
      }
      if (before !== undefined && !before.dead && !isOwn(before.session)) return 'taken';
      const answer = await definite(() => this.#engine.join(this.node, this.id, before?.session), pause);
      if (answer !== 'refused') return 'joined';
    }
  }

  /** Sends one beat. It is a committed write: an old primary could answer a read. */
  async beat(): Promise<void> {
    const sentAt = this.#now();
    const answer = await this.#engine.beat(this.node, this.id);
    if (answer.kind === 'refused') this.#isLost = true;
    if (answer.kind !== 'done' || this.#isLost) return;
    this.#beatenAt = Math.max(this.#beatenAt, this.#now());
    this.#coveredUntil = Math.max(this.#coveredUntil, sentAt + coverMs);
  }
}
