import type { LockResult } from '../../../protocol/operations/lock.ts';

/** `"Lock":…,"Till":…,` with the comma behind: what every reply that hands out a lease says of it. */
export function leaseMembers(lock: LockResult, handle: number, now: number): string {
  const { till, recover } = lock;
  const recovered =
    recover === undefined
      ? ''
      : `"Recover":{"Lock":${recover.handle},${recover.meta === undefined ? '' : `"Meta":${recover.meta},`}"Why":"${recover.why}"},`;
  return `"Lock":${handle},"Till":${Math.ceil(till / 1000)},"TillMs":${till},"TTLMs":${till - now},${recovered}"Now":${now},`;
}
