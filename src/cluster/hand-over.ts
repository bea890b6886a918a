/**
 * A planned move of a cell, from the side that has it.
 *
 *     holding ── the frame on its way is acknowledged ──► giving ── done ──► given ── the target serves ──► sent on
 *        │ takes too long                                   │                   │ it does not say so in time
 *        ▼                                                  ▼                   ▼
 *      kept: serves on                           deposed, gone back       held requests are refused
 *
 * What arrives meanwhile is held, in bounds of count, bytes and time; nothing of it has been done, so a refusal says so.
 * From `giving` on nothing is answered from memory: the statement may take effect at any time. If this node dies, the row
 * names the target's session or still its own; either way somebody finds the cell.
 */
import type { Cell, LogPlace, Session } from './engine.ts';
import type { FencedLog } from './fenced-log.ts';

export const holdMsMax = 1000;
export const heldRequestsMax = 10_000;
export const heldBytesMax = 16 * 1024 * 1024;

/** Requests for a cell that is on its way, in the order in which they came. */
export class HeldRequests<Request> {
  readonly #bytesOf: (request: Request) => number;
  #requests: Request[] = [];
  #bytes = 0;
  #closed = false;

  constructor(bytesOf: (request: Request) => number) {
    this.#bytesOf = bytesOf;
  }

  /** @returns false: it is refused, and nothing was done */
  hold(request: Request): boolean {
    const bytes = this.#bytes + this.#bytesOf(request);
    if (this.#closed || this.#requests.length >= heldRequestsMax || bytes > heldBytesMax) return false;
    this.#requests.push(request);
    this.#bytes = bytes;
    return true;
  }

  /** Everything that is held, once; afterwards nothing is held any more. */
  takeAll(): Request[] {
    const requests = this.#requests;
    this.#closed = true;
    this.#requests = [];
    this.#bytes = 0;
    return requests;
  }
}

/** What the target is told. */
export interface CellGiven {
  readonly cell: Cell;
  readonly epoch: number;
  readonly session: Session;
  /** The log's end: the target must find it there. */
  readonly end: LogPlace;
}

export interface HandOverRequest<Request> {
  readonly log: FencedLog;
  readonly to: Session;
  readonly held: HeldRequests<Request>;
  /** Resolves when no frame is on its way and nothing is left to be written; what arrives from now on is held. */
  readonly quiet: () => Promise<void>;
  /** Requests that stand in line or wait in this cell, each line in its order: they go before what was held. */
  readonly waiting: () => readonly Request[];
}

export interface HandOverDependencies<Request> {
  /** Tells the target; resolves with true when it serves. */
  readonly tell: (given: CellGiven) => Promise<boolean>;
  /** Hands requests to the target, which takes them in this order. */
  readonly sendOn: (requests: readonly Request[]) => void;
  /** Answers that nobody has the cell just now, and that nothing was done. */
  readonly refuse: (request: Request) => void;
  /** Resolves after so many milliseconds. */
  readonly after: (ms: number) => Promise<void>;
}

export type HandOverResult =
  /** Nothing was sent: the owner goes on, and serves what it holds. */
  | 'kept'
  | 'given'
  /** The target has the cell, and did not say in time that it serves. */
  | 'given-unheard'
  | 'deposed'
  | 'gone-back';

export async function handOverCell<Request>(
  { log, to, held, quiet, waiting }: HandOverRequest<Request>,
  { tell, sendOn, refuse, after }: HandOverDependencies<Request>,
): Promise<HandOverResult> {
  const late = after(holdMsMax).then(() => 'late' as const);
  if ((await Promise.race([quiet(), late])) === 'late') return 'kept';
  let isAnswered = false;
  /** All that is held, and waits, once. */
  const answer = (how: (requests: readonly Request[]) => void): void => {
    if (isAnswered) return;
    isAnswered = true;
    how([...waiting(), ...held.takeAll()]);
  };
  const refuseAll = (): void => answer((requests) => requests.forEach(refuse));
  void late.then(refuseAll);
  const { cell, epoch } = log.owner;
  const given = await log.handOver(to);
  const isHeard =
    given === 'done' &&
    (await Promise.race([tell({ cell, epoch: epoch + 1, session: to, end: log.end }), late])) === true;
  if (isHeard) answer(sendOn);
  else refuseAll();
  if (given !== 'done') return given;
  return isHeard ? 'given' : 'given-unheard';
}
