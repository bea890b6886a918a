/**
 * Who is to be told of tasks that fall due, and how far he has been told: a place in the order in which they do. It is in
 * memory only, and moves back when a task is due before it. A dispatcher may be told of a task twice, and knows those that
 * it has. A start begins in front of all tasks, so that every run that was not recorded is told again.
 */
import type { DuePlace } from '../../../protocol/entries.ts';
import { serverAccount, type AccountId } from '../../../protocol/ids.ts';
import type { RequestRef } from './outbox.ts';

export class TaskWatch {
  /** The server's own account comes before all others, and has no tasks. */
  place: DuePlace = { till: 0, account: serverAccount, key: '' };
  /** No task behind the place falls due before it. */
  next = 0;
  /** Runs that take time and go on: for those who look. In memory only, as what the dispatcher does. */
  readonly running = new Set<string>();
  /** Absent: nobody asks at this moment. */
  asking: { readonly ref: RequestRef; readonly bytesMax: number } | undefined;

  /** When whoever asks may have an answer; Infinity: nobody asks. */
  get nextAsked(): number {
    return this.asking === undefined ? Infinity : this.next;
  }

  /** A task falls due at `till`. */
  note(till: number): void {
    if (till === 0) return;
    if (till <= this.place.till) this.place = { till, account: serverAccount, key: '' };
    if (till < this.next) this.next = till;
  }
}

export function runName(account: AccountId, id: string): string {
  return `${account}\0${id}`;
}
