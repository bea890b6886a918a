/**
 * Finds nodes that are gone. A node is gone when its beat has stood still for `goneMs` of this machine's clock, while this
 * node's own beats were acknowledged without a pause: when the engine itself is away, nobody's beat moves, and after it has
 * come back all owners go on.
 */
import type { NodeRow, Session } from './engine.ts';

export const goneMs = 2500;
/** Between two acknowledged beats of one's own. */
export const ownPauseMaxMs = 1000;

interface Standing {
  readonly session: Session;
  readonly beat: number;
  /** Since when it stands still, on this machine's clock. */
  readonly since: number;
}

/**
 * Of one question. A beat that is shown was sent before the answer, and one that is not was not there at the question: so
 * a beat counts from the answer that showed it first, to the question that showed it last.
 */
export interface Seen {
  readonly askedAt: number;
  readonly answeredAt: number;
}

export class NodeWatch {
  readonly #standing = new Map<string, Standing>();
  #lastOwnBeat = -Infinity;

  /**
   * Looks at what the engine has shown.
   *
   * @param ownBeatAt when the last beat of this node was acknowledged
   * @returns the nodes that are gone
   */
  see(rows: readonly NodeRow[], { askedAt, answeredAt }: Seen, ownBeatAt: number): NodeRow[] {
    if (ownBeatAt - this.#lastOwnBeat > ownPauseMaxMs || answeredAt - ownBeatAt > ownPauseMaxMs) this.#standing.clear();
    this.#lastOwnBeat = ownBeatAt;
    const gone: NodeRow[] = [];
    for (const row of rows) {
      const before = this.#standing.get(row.node);
      if (before?.session !== row.session || before.beat !== row.beat) {
        this.#standing.set(row.node, { session: row.session, beat: row.beat, since: answeredAt });
      } else if (!row.dead && askedAt - before.since >= goneMs) {
        gone.push(row);
      }
    }
    return gone;
  }
}
