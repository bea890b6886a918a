/** What one client follows with DL.TAIL in RESP3: each commit below a prefix is pushed, as an event stream has it. */
import { revision, type AccountId, type Revision } from '../../protocol/ids.ts';
import type { Reply } from '../../protocol/replies.ts';
import type { Cancelable, StreamSink } from '../../router/dispatcher.ts';
import type { RespClient } from './command.ts';
import { failedReplyText } from './resp-error.ts';
import { bulk, bytesOf } from './writer.ts';
import { writeCommit, type ChangeBody } from './write-commit.ts';

/** Of history, no more is read while so many bytes wait for the client. */
const historyBytesMax = 256 * 1024;

export class Tails {
  readonly #client: RespClient;
  readonly #open = new Map<string, Cancelable>();

  constructor(client: RespClient) {
    this.#client = client;
  }

  /** Follows a prefix from a revision on, instead of what was followed below it before. */
  follow(account: AccountId, prefix: string, after: number): void {
    this.end(prefix);
    let stream: Cancelable | undefined;
    let ended = false;
    const sink = this.#sink(prefix, () => {
      ended = true;
      if (this.#open.get(prefix) === stream) this.#open.delete(prefix);
    });
    stream = this.#client.context.dispatcher.streamPrefix({ account, prefix, after: revision(after) }, sink);
    if (!ended) this.#open.set(prefix, stream);
  }

  /** @returns whether it was followed */
  end(prefix: string): boolean {
    this.#open.get(prefix)?.cancel();
    return this.#open.delete(prefix);
  }

  clear(): void {
    for (const stream of this.#open.values()) stream.cancel();
    this.#open.clear();
  }

  #sink(prefix: string, onEnd: () => void): StreamSink {
    const client = this.#client;
    const name = bulk(bytesOf(prefix));
    const bytesMax = client.context.limits.stream_buffer_bytes_max;
    return {
      commit(rev: Revision, events: readonly string[]): boolean {
        const changes = events.map((event) => JSON.parse(event) as ChangeBody);
        client.push(client.writer.push([bulk('dl.tail'), name, writeCommit(rev, changes, client.writer)]));
        return client.unsentBytes <= bytesMax;
      },
      ready(resume: () => void): boolean {
        if (client.unsentBytes <= historyBytesMax) return true;
        client.whenFree(resume);
        return false;
      },
      bookmark: () => true,
      end(reply?: Reply): void {
        onEnd();
        // A client that does not keep up would not learn that it missed something.
        if (reply === undefined) return client.disconnect();
        client.push(client.writer.push([bulk('dl.tail'), name, failedReplyText(reply)]));
      },
    };
  }
}
