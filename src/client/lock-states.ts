/** A watch of a lock: what its long polls answer, as `LockState`. */
import type { LockState } from './watch-events.ts';

/** Seconds that one request waits in the server. */
const pollSeconds = 30;

/** @param poll asks the server, however often that takes; undefined: nothing has happened */
export async function* lockStates(
  id: string,
  known: number | undefined,
  poll: (body: object) => Promise<object | undefined>,
): AsyncGenerator<LockState, never, undefined> {
  let version = known;
  if (version === undefined) {
    // A lock that nobody has held has version 0, of which nothing is told.
    const first = await poll({ LockID: id, Version: 0, Wait: 0 });
    const state = lockStateOf({ LockID: id, Version: 0, Locked: false, ...first });
    ({ version } = state);
    yield state;
  }
  for (;;) {
    const seen = await poll({ LockID: id, Version: version, Wait: pollSeconds });
    if (seen === undefined) continue;
    const state = lockStateOf(seen as WireLockState);
    ({ version } = state);
    yield state;
  }
}

interface WireLockState {
  readonly LockID: string;
  readonly Version: number;
  readonly Locked: boolean;
  readonly Meta?: unknown;
  readonly Since?: number;
  readonly Holders?: number;
}

function lockStateOf({ LockID, Version, Locked, Meta, Since, Holders }: WireLockState): LockState {
  return {
    id: LockID,
    version: Version,
    locked: Locked,
    ...(Meta !== undefined && { meta: Meta }),
    ...(Since !== undefined && { since: Since }),
    ...(Holders !== undefined && { holders: Holders }),
  };
}
