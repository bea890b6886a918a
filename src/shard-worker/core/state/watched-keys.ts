/** Watched keys, by `nameOf`, and the front ends to tell about the next change of each. */
export class WatchedKeys {
  readonly #routers = new Map<string, Set<number>>();

  get size(): number {
    return this.#routers.size;
  }

  add(name: string, router: number): void {
    const routers = this.#routers.get(name);
    if (routers === undefined) this.#routers.set(name, new Set([router]));
    else routers.add(router);
  }

  remove(name: string, router: number): void {
    const routers = this.#routers.get(name);
    routers?.delete(router);
    if (routers?.size === 0) this.#routers.delete(name);
  }

  /** Removes and returns the front ends that watch this key: one change answers all of them. */
  take(name: string): Iterable<number> {
    const routers = this.#routers.get(name);
    if (routers === undefined) return [];
    this.#routers.delete(name);
    return routers;
  }
}
