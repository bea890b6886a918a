/**
 * Where tasks stand that are due: a line for each flow of an account and kind of work, one beside it for runs that were
 * asked for (a pause of the flow does not hold them), and one for each kind of work without a flow. Accounts have their
 * turns one after the other (fair-queue.ts), and so have the lines of each. A line whose flow must wait is shut; it keeps
 * no other waiting.
 *
 *   push ──► open line ──take──► …          shut ──► shut line ──open──► open line
 */
import { FairQueue } from '../shared/fair-queue.ts';
import { works, type AccountLane, type Due, type Work } from './due-task.ts';

interface Line {
  readonly name: string;
  readonly work: Work;
  items: Due[];
  /** The index of the next one. */
  at: number;
  isShut: boolean;
}

interface AccountLines {
  lane: AccountLane;
  readonly lines: Map<string, Line>;
  /** Lines that are open and not empty, by whose turn it is. */
  readonly open: Readonly<Record<Work, Set<Line>>>;
  /** It stands in the queue of accounts. */
  hasTurn: boolean;
}

export type MayBegin = (lane: AccountLane, work: Work) => boolean;

export class TaskLines {
  readonly #turns = new FairQueue<AccountLines>();
  readonly #accounts = new Map<string, AccountLines>();

  push(due: Due): void {
    const [account, line] = this.#lineOf(due);
    due.waits = true;
    line.items.push(due);
    this.#opened(account, line);
  }

  /** Puts it back to where it was taken from. */
  pushFirst(due: Due): void {
    const [account, line] = this.#lineOf(due);
    due.waits = true;
    if (line.at > 0) line.items[(line.at -= 1)] = due;
    else line.items.unshift(due);
    this.#opened(account, line);
  }

  /** Takes it out of its line, wherever it stands. */
  drop(due: Due): void {
    const [account, line] = this.#lineOf(due);
    due.waits = false;
    line.items = line.items.filter((other, at) => at >= line.at && other !== due);
    line.at = 0;
    if (line.items.length === 0) this.#emptied(account, line);
  }

  /** Nothing is taken from its line, until it is opened. */
  shut(due: Due): void {
    const [account, line] = this.#lineOf(due);
    line.isShut = true;
    account.open[line.work].delete(line);
  }

  open(due: Due): void {
    const [account, line] = this.#lineOf(due);
    line.isShut = false;
    if (line.items.length === 0) this.#emptied(account, line);
    else this.#opened(account, line);
  }

  /** Takes the next one that may begin. `charge` must follow before the next one is taken. */
  take(mayBegin: MayBegin): Due | undefined {
    for (;;) {
      const account = this.#turns.take(false, (next) => hasOpen(next) && workOf(next, mayBegin) === undefined);
      if (account === undefined) return undefined;
      account.hasTurn = false;
      const work = workOf(account, mayBegin);
      const due = work === undefined ? undefined : this.#takeFrom(account, work);
      this.#giveTurn(account);
      if (due !== undefined) return due;
      this.charge(0);
    }
  }

  /** @param micros what has been taken last has cost */
  charge(micros: number): void {
    this.#turns.charge(micros, false);
  }

  /** Accounts that could not begin more may be able to now. */
  releaseWaiting(): void {
    this.#turns.releaseWaiting();
  }

  #lineOf({ flow, isAsked, work, lane }: Due): [AccountLines, Line] {
    let account = this.#accounts.get(lane.account);
    if (account === undefined) {
      account = {
        lane,
        lines: new Map(),
        open: { commit: new Set(), call: new Set(), send: new Set() },
        hasTurn: false,
      };
      this.#accounts.set(lane.account, account);
    }
    // An account that had nothing for a while has a lane anew.
    account.lane = lane;
    const name = flow === undefined ? work : `${work}${isAsked ? '!' : ':'}${flow}`;
    let line = account.lines.get(name);
    if (line === undefined) account.lines.set(name, (line = { name, work, items: [], at: 0, isShut: false }));
    return [account, line];
  }

  #takeFrom(account: AccountLines, work: Work): Due | undefined {
    const [line] = account.open[work];
    if (line === undefined) return undefined;
    account.open[work].delete(line);
    const due = line.items[line.at]!;
    line.at += 1;
    due.waits = false;
    if (line.at === line.items.length) this.#emptied(account, line);
    else {
      // The next turn is another line's.
      account.open[work].add(line);
      if (line.at * 2 > line.items.length) {
        line.items = line.items.slice(line.at);
        line.at = 0;
      }
    }
    return due;
  }

  #emptied(account: AccountLines, line: Line): void {
    line.items = [];
    line.at = 0;
    account.open[line.work].delete(line);
    if (!line.isShut) account.lines.delete(line.name);
    this.#giveTurn(account);
  }

  #opened(account: AccountLines, line: Line): void {
    if (line.isShut) return;
    account.open[line.work].add(line);
    this.#giveTurn(account);
  }

  /** An account with an open line has one turn ahead. */
  #giveTurn(account: AccountLines): void {
    if (account.hasTurn) return;
    const { account: name } = account.lane;
    if (account.lines.size === 0) this.#accounts.delete(name);
    if (!hasOpen(account)) return;
    account.hasTurn = true;
    this.#turns.push(name, account);
  }
}

function hasOpen({ open }: AccountLines): boolean {
  return works.some((work) => open[work].size > 0);
}

/** What an account may begin now. */
function workOf({ lane, open }: AccountLines, mayBegin: MayBegin): Work | undefined {
  return works.find((work) => open[work].size > 0 && mayBegin(lane, work));
}
