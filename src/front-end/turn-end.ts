/** Who has something to write after the event that is being handled: one tick for all connections of a door. */
export interface TurnWriter {
  flush(): void;
}

export class TurnEnd {
  #waiting: TurnWriter[] = [];

  /** Calls `flush` once after the event that is being handled. */
  add(writer: TurnWriter): void {
    if (this.#waiting.push(writer) === 1) process.nextTick(this.#flush);
  }

  readonly #flush = (): void => {
    const all = this.#waiting;
    this.#waiting = [];
    for (const writer of all) writer.flush();
  };
}
