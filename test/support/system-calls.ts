/**
 * Reads what strace has noted of a server that got writes one after the other, the n-th with a value that contains
 * `value-n-of-the-trace`. The lines of `strace -f -y` are in the order in which things happened; a call that another thread's
 * interrupts has two: `… <unfinished ...>` and `<... name resumed> …`.
 */

export interface SyncFaults {
  /** That tell of a commit. */
  readonly replies: number;
  /** Of the journal. */
  readonly syncs: number;
  /** Replies that left before what they tell of was synced. */
  readonly faults: readonly string[];
}

export function syncFaults(trace: string): SyncFaults {
  const faults: string[] = [];
  /** By thread: the write that its sync will have made durable, or that it is writing. */
  const syncing = new Map<string, number>();
  const writing = new Map<string, number>();
  let written = 0;
  let synced = 0;
  let replies = 0;
  let syncs = 0;
  for (const line of trace.split('\n')) {
    const [, thread = '', text = ''] = /^(\d+) +[\d.]+ (.*)$/.exec(line) ?? [];
    const isOver = !text.endsWith('<unfinished ...>');
    const value = /value-(\d+)-of-the-trace/.exec(text)?.[1];
    if (/^pwrite\w*\(\d+<[^>]*journal-/.test(text) && value !== undefined) {
      if (isOver) written = Number(value);
      else writing.set(thread, Number(value));
    } else if (/^<\.\.\. pwrite\w* resumed>/.test(text)) {
      written = Math.max(written, writing.get(thread) ?? 0);
      writing.delete(thread);
    } else if (/^f(data)?sync\(\d+<[^>]*journal-/.test(text)) {
      if (isOver) end(thread, written, text);
      else syncing.set(thread, written);
    } else if (/^<\.\.\. f(data)?sync resumed>/.test(text)) {
      if (syncing.has(thread)) end(thread, syncing.get(thread)!, text);
    } else if (
      /^(write|writev|sendto|sendmsg)\(\d+<(socket|TCP)/.test(text) &&
      /HTTP\/1\.1 200 .*\\"Rev\\":/.test(text)
    ) {
      replies += 1;
      if (synced < replies) faults.push(`reply ${replies} left when ${synced} was synced: ${line.slice(0, 200)}`);
    }
  }
  return { replies, syncs, faults };

  function end(thread: string, upTo: number, text: string): void {
    syncing.delete(thread);
    if (!text.endsWith('= 0')) return;
    syncs += 1;
    synced = Math.max(synced, upTo);
  }
}
