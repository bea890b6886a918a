/** Watched keys and locks, by `watchName`, and the front ends to tell about the next change of each. */
export class WatchedKeys {
  readonly #routers = new Map<string, Set<number>>();
  /** Of locks: the version that watchers have. Other changes are none for them. */
  readonly #versions = new Map<string, number>();

  get size(): number {
    return this.#routers.size;
  }

  add(name: string, router: number): void {
    const routers = this.#routers.get(name);
    if (routers === undefined) this.#routers.set(name, new Set([router]));
    else routers.add(router);
  }

  addLock(name: string, router: number, version: number): void {
    this.add(name, router);
    this.#versions.set(name, version);
  }

  has(name: string): boolean {
    return this.#routers.has(name);
  }

  /** As `take`, if the lock has another version than watchers have. */
  takeLock(name: string, version: number): Iterable<number> {
    if (this.#versions.get(name) === version) return [];
    this.#versions.delete(name);
    return this.take(name);
  }

  remove(name: string, router: number): void {
    const routers = this.#routers.get(name);
    routers?.delete(router);
    if (routers?.size !== 0) return;
    this.#routers.delete(name);
    this.#versions.delete(name);
  }

  /** Removes and returns the front ends that watch this key: one change answers all of them. */
  take(name: string): Iterable<number> {
    const routers = this.#routers.get(name);
    if (routers === undefined) return [];
    this.#routers.delete(name);
    return routers;
  }
}
