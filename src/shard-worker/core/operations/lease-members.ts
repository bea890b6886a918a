import type { LockResult } from '../../../protocol/operations/lock.ts';

/** `"Lock":…,"Till":…,` with the comma behind: what every reply that hands out a lease says of it. */
export function leaseMembers(lock: LockResult, fence: number, now: number): string {
  const { till, recover } = lock;
  const recovered =
    recover === undefined
      ? ''
      : `"Recover":{"Lock":${recover.fence},${recover.meta === undefined ? '' : `"Meta":${recover.meta},`}"Why":"${recover.why}"},`;
  return `"Lock":${fence},"Till":${Math.ceil(till / 1000)},"TillMs":${till},"TTLMs":${till - now},${recovered}"Now":${now},`;
}
