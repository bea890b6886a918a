import type { LockResult } from '../../../protocol/operations/lock.ts';

/** Renders the lease in a reply that grants one: `"Lock":…,"Till":…,` with a comma after each member. */
export function leaseMembers(lock: LockResult, fence: number, now: number): string {
  const { till } = lock;
  const times = `"Till":${Math.ceil(till / 1000)},"TillMs":${till},"TTLMs":${till - now},`;
  return `"Lock":${fence},${times}${recoverMember(lock)}"Now":${now},`;
}

function recoverMember({ recover }: LockResult): string {
  if (recover === undefined) return '';
  const meta = recover.meta === undefined ? '' : `"Meta":${recover.meta},`;
  return `"Recover":{"Lock":${recover.fence},${meta}"Why":"${recover.why}"},`;
}
