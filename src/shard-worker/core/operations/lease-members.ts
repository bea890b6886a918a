import type { LockResult } from '../../../protocol/operations/lock.ts';

/**
 * Renders the lease in a reply that grants or extends one: `"Lock":…,"Till":…,` with a comma after each member.
 * `Extended` tells a client that it had the lock before: if it did not know that, another has the same owner.
 */
export function leaseMembers(lock: LockResult, fence: number, now: number, extended: boolean): string {
  const { till, free } = lock;
  const times = `"Till":${Math.ceil(till / 1000)},"TillMs":${till},"TTLMs":${till - now},`;
  return `"Lock":${fence},${times}${extended ? '"Extended":true,' : ''}${free === undefined ? '' : `"Free":${free},`}${recoverMember(lock)}"Now":${now},`;
}

function recoverMember({ recover }: LockResult): string {
  if (recover === undefined) return '';
  const meta = recover.meta === undefined ? '' : `"Meta":${recover.meta},`;
  return `"Recover":{"Lock":${recover.fence},${meta}"Why":"${recover.why}"},`;
}
