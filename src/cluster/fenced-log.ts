/**
 * The owner's end of a cell's log. It puts one frame after the other, and never has two on their way: the slot of a frame
 * is its first revision, the same bytes are sent until the answer is definite, and only an acknowledged commit of one's
 * own proves anything.
 *
 *     append ── done ──────────────────────────────────────────────► done
 *       ▲ ▲     unknown, nothing: the same bytes again, on and on
 *       │ │     full: nothing was done; told, unless an earlier try may still take effect
 *       │ └──── refused ─► barrier ── refused ─────────────────────► deposed
 *       │                     │ done: I am the owner, and what I see is durable
 *       │                     ▼
 *       │                 look at the slot ── my frame ────────────► done
 *       └──────────────── nothing there, and my last frame is
 *                         anything else ───────────────────────────► gone back: the engine has lost what it acknowledged
 *
 * Deposed says nothing of the frame: it may be in the log of the next owner, or not.
 */
import { assert, unreachable } from '../shared/assert.ts';
import type { Engine, EngineAnswer, LogFrame, LogPlace, Owned, Session } from './engine.ts';

export type AppendResult = 'done' | 'full' | 'deposed' | 'gone-back';

export interface FencedLogDependencies {
  readonly engine: Engine;
  /** Waits before the same is sent again. Never resolves when the process is to end. */
  readonly pause: () => Promise<void>;
}

export class FencedLog {
  readonly owner: Owned;
  readonly #engine: Engine;
  readonly #pause: () => Promise<void>;
  #end: LogPlace;
  #appending = false;
  #over: 'deposed' | 'gone-back' | undefined;

  /** @param end the last frame of the log, as it was read behind the take */
  constructor(owner: Owned, end: LogPlace, { engine, pause }: FencedLogDependencies) {
    this.owner = owner;
    this.#end = end;
    this.#engine = engine;
    this.#pause = pause;
  }

  /** The last frame that is known to be durable. */
  get end(): LogPlace {
    return this.#end;
  }

  /** Puts the frame behind the last one. After `deposed` and `gone-back` nothing is sent any more. */
  async append(frame: LogFrame): Promise<AppendResult> {
    assert(!this.#appending, 'one frame of a cell is on its way at a time');
    assert(frame.first > this.#end.last && frame.previous === this.#end.chain, 'a frame follows the one before it');
    if (this.#over !== undefined) return this.#over;
    this.#appending = true;
    const result = await this.#settle(frame);
    this.#appending = false;
    if (result === 'done') this.#end = { first: frame.first, last: frame.last, chain: frame.chain };
    else if (result !== 'full') this.#over = result;
    return result;
  }

  /**
   * Gives the cell to another session, behind the last frame. From the call on nothing is sent any more: the statement may
   * take effect at any time.
   */
  async handOver(to: Session): Promise<'done' | 'deposed' | 'gone-back'> {
    assert(!this.#appending, 'a cell is handed over behind its last frame');
    if (this.#over !== undefined) return this.#over;
    this.#over = 'deposed';
    const given = await definite(() => this.#engine.handOver(this.owner, this.#end, to), this.#pause);
    if (given !== 'refused') return 'done';
    const owns = await definite(() => this.#engine.barrier(this.owner), this.#pause);
    // An owner is refused only if its last frame is missing.
    if (owns !== 'refused' || (await this.#hasGoneBack())) this.#over = 'gone-back';
    return this.#over;
  }

  async #settle(frame: LogFrame): Promise<AppendResult> {
    let mayTakeEffect = false;
    for (;;) {
      const answer = await this.#engine.append(this.owner, frame, this.#end);
      switch (answer.kind) {
        case 'done':
          return 'done';
        case 'refused': {
          const result = await this.#resolve(frame);
          if (result !== 'again') return result;
          break;
        }
        case 'full':
          if (!mayTakeEffect) return 'full';
          break;
        case 'unknown':
          mayTakeEffect = true;
          break;
        case 'nothing':
          break;
        default:
          unreachable(answer);
      }
      await this.#pause();
    }
  }

  /** The engine has refused the frame: finds out why. */
  async #resolve(frame: LogFrame): Promise<AppendResult | 'again'> {
    const isOwner = await definite(() => this.#engine.barrier(this.owner), this.#pause);
    if (isOwner === 'refused') return (await this.#hasGoneBack()) ? 'gone-back' : 'deposed';
    const slot = await definite(() => this.#engine.frameAt(this.owner.cell, frame.first), this.#pause);
    if (slot !== 'refused' && slot?.chain === frame.chain) return 'done';
    if (slot === undefined && (await this.#isThere(this.#end))) return 'again';
    // Something is missing. Another owner may have trimmed it since the barrier: only who still owns the cell can say.
    const owns = await definite(() => this.#engine.barrier(this.owner), this.#pause);
    return owns !== 'refused' || (await this.#hasGoneBack()) ? 'gone-back' : 'deposed';
  }

  /** Whoever is deposed looks whether by a take, or by an engine that does not know its epoch any more. */
  async #hasGoneBack(): Promise<boolean> {
    const { cell, epoch, session } = this.owner;
    // The frame comes first: what was trimmed in between, the row says afterwards.
    const isEndThere = await this.#isThere(this.#end);
    const row = await definite(() => this.#engine.look(cell), this.#pause);
    assert(row !== 'refused', 'a look has no condition');
    if (row.epoch < epoch || (row.epoch === epoch && row.session !== session)) return true;
    return row.trimmed < this.#end.last && !isEndThere;
  }

  async #isThere({ first, chain }: LogPlace): Promise<boolean> {
    const found = await definite(() => this.#engine.frameAt(this.owner.cell, first), this.#pause);
    return found !== 'refused' && found?.chain === chain;
  }
}

/** Asks until the answer is definite. */
export async function definite<Result>(
  ask: () => Promise<EngineAnswer<Result>>,
  pause: () => Promise<void>,
): Promise<Result | 'refused'> {
  for (;;) {
    const answer = await ask();
    if (answer.kind === 'done') return answer.result;
    if (answer.kind === 'refused') return 'refused';
    await pause();
  }
}
