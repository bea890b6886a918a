/**
 * Sockets on which systemd listens, and which it passes to the service (`dragonlock.socket`, sd_listen_fds(3)). They stay
 * open while the server restarts: clients wait in the kernel's queue, and none is refused.
 */
import type { FdListen } from '../../front-end/listen.ts';

const firstFd = 3;

export class ActivatedSockets {
  /** By name; `LISTEN_FDNAMES` has one for each. */
  readonly #left: Map<string, number[]>;

  /** @param pid of this process: variables that are for another one do not count */
  constructor(env: Readonly<Record<string, string | undefined>>, pid: number) {
    const isOurs = env['LISTEN_PID'] === String(pid);
    const count = isOurs ? Number(env['LISTEN_FDS'] ?? 0) : 0;
    const names = (env['LISTEN_FDNAMES'] ?? '').split(':');
    const all = Array.from({ length: count }, (_, i) => [names[i] ?? '', firstFd + i] as const);
    this.#left = new Map();
    for (const [name, fd] of all) this.#left.set(name, [...(this.#left.get(name) ?? []), fd]);
  }

  /** Takes the sockets of this name. @returns undefined if there are none, or they are taken already */
  take(name: string): FdListen | undefined {
    const fds = this.#left.get(name);
    this.#left.delete(name);
    return fds && { kind: 'fd', fds };
  }

  /** Takes all that nothing has asked for by name. */
  takeRest(): FdListen | undefined {
    const fds = [...this.#left.values()].flat().toSorted((a, b) => a - b);
    this.#left.clear();
    return fds.length === 0 ? undefined : { kind: 'fd', fds };
  }
}
