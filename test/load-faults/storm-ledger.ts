/**
 * Records what the clients of a lock storm saw, and judges whether correct locks can behave like that. It asks the
 * server nothing: the verdict follows from the times of requests and answers (on a clock that all processes of the
 * machine share), and from the revisions in the answers.
 *
 * An acknowledged lease is certain until `sentAt + LockDur` of the last request that was granted it, because the server
 * cannot count from before the request was sent; or until its release was sent, if that is earlier.
 */
import assert from 'node:assert/strict';

export interface Call {
  readonly kind: 'acquire' | 'extend' | 'write' | 'release';
  /** Of the child process. */
  readonly process: number;
  readonly lock: string;
  readonly owner: string;
  /** How often the server had been started when it was sent. */
  readonly life: number;
  readonly durMs: number;
  /** 0 for all but `acquire`. */
  readonly waitMs: number;
  readonly sentAt: number;
  /** When another request proved that this one waits: every later request comes after it in the wait queue. */
  inLineAt?: number;
  /** Handle of the lease; for an `acquire`, the one in the answer. */
  fence?: number;
  /** Absent: the request was never answered. */
  answeredAt?: number;
  status?: number;
  code?: string;
  rev?: number;
}

/** A fault of the server, or of one of the clients' processes. */
export interface Fault {
  readonly kind: 'kill' | 'stop' | 'stop clients';
  readonly process?: number;
  readonly from: number;
  readonly to: number;
}

interface Lease {
  readonly fence: number;
  readonly owner: string;
  readonly process: number;
  readonly life: number;
  firstSentAt: number;
  firstAnsweredAt: number;
  keptUntil: number;
  releaseSentAt: number;
  releasedAt: number;
}

/** The delay that a busy machine may add to any answer. */
const slackMs = 5000;
/** A timer's grain, and the rounding of two clocks. */
const grainMs = 25;

export type Counts = Record<
  | 'grants'
  | 'writes'
  | 'extensions'
  | 'releases'
  | 'waits that ran out'
  | 'unanswered'
  | 'orders in wait queue proven'
  | 'stale fences refused'
  | 'stale fences refused after a restart'
  | 'leases that ended by time'
  | 'latest answer to a wait, ms'
  | 'kills that met holders and waiters'
  | 'stops that leases ran out in'
  | 'stops of clients that lost their leases',
  number
>;

/** @throws at the first thing that cannot have happened */
export function judge(calls: readonly Call[], faults: readonly Fault[]): Counts {
  const counts: Counts = {
    grants: 0,
    writes: 0,
    extensions: 0,
    releases: 0,
    'waits that ran out': 0,
    unanswered: 0,
    'orders in wait queue proven': 0,
    'stale fences refused': 0,
    'stale fences refused after a restart': 0,
    'leases that ended by time': 0,
    'latest answer to a wait, ms': 0,
    'kills that met holders and waiters': 0,
    'stops that leases ran out in': 0,
    'stops of clients that lost their leases': 0,
  };
  const all: Lease[] = [];
  for (const ofLock of Map.groupBy(calls, ({ lock }) => lock).values()) {
    const leases = leasesOf(ofLock);
    all.push(...leases);
    counts.grants += leases.length;
    judgeHolders(leases, counts);
    judgeGrowth(ofLock, leases);
    const successors = successorsOf(leases);
    for (const call of ofLock) judgeUse(call, leases, successors, counts);
    judgeLine(ofLock, counts);
  }
  for (const call of calls) judgeWait(call, faults, counts);
  for (const fault of faults) countFault(fault, calls, all, counts);
  return counts;
}

/** The leases, ascending by fence. One fence belongs to one owner, however often clients ask. */
function leasesOf(calls: readonly Call[]): Lease[] {
  const leases = new Map<number, Lease>();
  for (const call of calls) {
    if (call.kind !== 'acquire' || call.status !== 200) continue;
    const { owner, process, life, sentAt } = call;
    const [fence, answeredAt] = [call.fence!, call.answeredAt!];
    const lease = leases.get(fence);
    if (lease === undefined) {
      const never = { keptUntil: 0, releaseSentAt: Infinity, releasedAt: Infinity };
      leases.set(fence, { fence, owner, process, life, firstSentAt: sentAt, firstAnsweredAt: answeredAt, ...never });
      continue;
    }
    wrong(lease.owner === owner, `one fence was given to two owners`, { lease, call });
    lease.firstSentAt = Math.min(lease.firstSentAt, sentAt);
    lease.firstAnsweredAt = Math.min(lease.firstAnsweredAt, answeredAt);
  }
  for (const { kind, fence, sentAt, durMs, status, answeredAt } of calls) {
    const lease = leases.get(fence ?? 0);
    if (lease === undefined) continue;
    if (status === 200 && (kind === 'acquire' || kind === 'extend'))
      lease.keptUntil = Math.max(lease.keptUntil, sentAt + durMs);
    if (kind !== 'release') continue;
    lease.releaseSentAt = Math.min(lease.releaseSentAt, sentAt);
    if (status === 200) lease.releasedAt = Math.min(lease.releasedAt, answeredAt!);
  }
  return [...leases.values()].toSorted((a, b) => a.fence - b.fence);
}

function certainUntil({ keptUntil, releaseSentAt }: Lease): number {
  return Math.min(keptUntil, releaseSentAt);
}

/** Checks that no client has a lock before the leases with lower fences have ended. */
function judgeHolders(leases: readonly Lease[], counts: Counts): void {
  let before: Lease | undefined;
  for (const lease of leases) {
    if (before !== undefined) {
      wrong(certainUntil(before) <= lease.firstAnsweredAt, 'two hold one lock', { before, lease });
      if (before.releaseSentAt > lease.firstAnsweredAt) counts['leases that ended by time'] += 1;
    }
    if (before === undefined || certainUntil(lease) > certainUntil(before)) before = lease;
  }
}

/** Checks that a request that was sent after another was answered gets a higher fence. */
function judgeGrowth(calls: readonly Call[], leases: readonly Lease[]): void {
  const answers = leases.toSorted((a, b) => a.firstAnsweredAt - b.firstAnsweredAt);
  const grants = calls.filter(({ kind, status }) => kind === 'acquire' && status === 200);
  let at = 0;
  let highest: Lease | undefined;
  for (const call of grants.toSorted((a, b) => a.sentAt - b.sentAt)) {
    for (; at < answers.length && answers[at]!.firstAnsweredAt < call.sentAt; at += 1) {
      if (highest === undefined || answers[at]!.fence > highest.fence) highest = answers[at]!;
    }
    if (highest === undefined || (highest.fence === call.fence && highest.owner === call.owner)) continue;
    wrong(highest.fence < call.fence!, 'fences do not grow', { answeredBefore: highest, call });
  }
}

/** For each lease, the one with a higher fence that its client learned of first. */
function successorsOf(leases: readonly Lease[]): (Lease | undefined)[] {
  const successors: (Lease | undefined)[] = [];
  let first: Lease | undefined;
  for (let i = leases.length - 1; i >= 0; i -= 1) {
    successors[i] = first;
    if (first === undefined || leases[i]!.firstAnsweredAt < first.firstAnsweredAt) first = leases[i]!;
  }
  return successors;
}

/** Checks that calls with a fence were accepted while its lease held, and refused after it had ended. */
function judgeUse(
  call: Call,
  leases: readonly Lease[],
  successors: readonly (Lease | undefined)[],
  counts: Counts,
): void {
  if (call.kind === 'acquire' || call.answeredAt === undefined) return;
  const index = indexOf(leases, call.fence!);
  const lease = leases[index]!;
  const next = leases[index + 1];
  const known = successors[index];
  const successor = known !== undefined && known.firstAnsweredAt < call.sentAt ? known : undefined;
  const facts = { call, lease, next };
  if (call.status === 200) {
    if (call.kind === 'release') {
      counts.releases += 1;
      const first = lease.releaseSentAt === call.sentAt;
      wrong(!first || successor === undefined, 'the release of a lost lease was answered 200', facts);
      return;
    }
    counts[call.kind === 'write' ? 'writes' : 'extensions'] += 1;
    wrong(call.rev! > lease.fence, 'it happened before its lease', facts);
    wrong(next === undefined || call.rev! < next.fence, `a ${call.kind} happened under the next holder`, facts);
    wrong(successor === undefined, `a stale fence was accepted`, { ...facts, successor });
    wrong(!(lease.releasedAt < call.sentAt), 'the fence of a released lock was accepted', facts);
    return;
  }
  wrong(call.status === 409 && call.code === 'lock_lost', 'wanted 200 or lock_lost', facts);
  const certain = call.kind === 'release' ? lease.keptUntil : certainUntil(lease);
  const repeated = call.kind === 'release' && lease.releaseSentAt < call.sentAt;
  wrong(repeated || certain <= call.answeredAt, 'a lease ended early', facts);
  if (successor === undefined && !(lease.releasedAt < call.sentAt)) return;
  counts['stale fences refused'] += 1;
  if (call.life > lease.life) counts['stale fences refused after a restart'] += 1;
}

/** Checks FIFO order among requests whose order of arrival is known. */
function judgeLine(calls: readonly Call[], counts: Counts): void {
  for (const ofLife of Map.groupBy(calls, ({ life }) => life).values()) {
    // An owner that asks again for its own lease does not wait, and gets the old fence.
    const granted = ofLife.filter(({ kind, rev, fence }) => kind === 'acquire' && rev !== undefined && rev === fence);
    const proven = granted
      .filter(({ inLineAt }) => inLineAt !== undefined)
      .toSorted((a, b) => a.inLineAt! - b.inLineAt!);
    let at = 0;
    let last: Call | undefined;
    for (const call of granted.toSorted((a, b) => a.sentAt - b.sentAt)) {
      for (; at < proven.length && proven[at]!.inLineAt! < call.sentAt; at += 1) {
        if (last === undefined || proven[at]!.fence! > last.fence!) last = proven[at]!;
      }
      if (last === undefined) continue;
      wrong(last.fence! < call.fence!, 'who came later was served first', { earlier: last, later: call });
      if (last.answeredAt! > call.sentAt) counts['orders in wait queue proven'] += 1;
    }
  }
}

/** Checks that no request waits longer than its LockWait, and that none is refused earlier. */
function judgeWait(call: Call, faults: readonly Fault[], counts: Counts): void {
  if (call.answeredAt === undefined) {
    counts.unanswered += 1;
    return;
  }
  if (call.kind !== 'acquire') return;
  const late = call.answeredAt - call.sentAt - call.waitMs;
  if (call.status !== 200) {
    wrong(call.status === 409 && call.code === 'not_locked', 'wanted 200 or not_locked', { call });
    wrong(late >= -grainMs, 'sent away before its LockWait ran out', { call, late });
    counts['waits that ran out'] += 1;
  }
  const standing = faults
    .filter(({ process }) => process === undefined || process === call.process)
    .reduce((sum, { from, to }) => sum + Math.max(0, Math.min(to, call.answeredAt!) - Math.max(from, call.sentAt)), 0);
  wrong(late - standing <= slackMs, 'waited past its LockWait', { call, late, standing });
  if (standing === 0) {
    counts['latest answer to a wait, ms'] = Math.max(counts['latest answer to a wait, ms'], Math.round(late));
  }
}

function countFault(fault: Fault, calls: readonly Call[], leases: readonly Lease[], counts: Counts): void {
  const { from, to } = fault;
  const held = leases.filter((lease) => lease.firstAnsweredAt < from && certainUntil(lease) > from);
  const ranOut = held.filter((lease) => certainUntil(lease) < to);
  const waiting = calls.some(
    ({ kind, sentAt, answeredAt = Infinity }) => kind === 'acquire' && sentAt < from && answeredAt > from,
  );
  switch (fault.kind) {
    case 'kill':
      if (held.length > 0 && waiting) counts['kills that met holders and waiters'] += 1;
      return;
    case 'stop':
      if (ranOut.length > 0 && waiting) counts['stops that leases ran out in'] += 1;
      return;
    case 'stop clients':
      if (ranOut.some(({ process }) => process === fault.process))
        counts['stops of clients that lost their leases'] += 1;
  }
}

function indexOf(leases: readonly Lease[], fence: number): number {
  let [low, high] = [0, leases.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (leases[middle]!.fence < fence) low = middle + 1;
    else high = middle;
  }
  return low;
}

function wrong(right: boolean, what: string, facts: Readonly<Record<string, unknown>>): void {
  if (!right) assert.fail(`${what}: ${JSON.stringify(facts)}`);
}
