/** What a call asks of the dispatcher. It is given up with the call, wherever it waits. */
import { isFailure, type Reply } from '../protocol/replies.ts';
import type { Command } from '../protocol/operations/operations.ts';
import type { Cancelable, Dispatcher, ReplySink } from '../router/dispatcher.ts';
import { CallFailed } from './script-call.ts';

export class CallRequests {
  readonly #dispatcher: Dispatcher;
  /** Memory of each request. */
  readonly #bytes: number;
  /** Those that have no reply. */
  readonly #asked = new Set<Asked>();
  #over: CallFailed | undefined;

  constructor(dispatcher: Dispatcher, bytes: number) {
    this.#dispatcher = dispatcher;
    this.#bytes = bytes;
  }

  /** The call is over: whatever is asked, or waits for its reply, fails with this one. */
  end(reply: Reply): void {
    this.#over ??= new CallFailed(reply);
    for (const asked of this.#asked) asked.giveUp(this.#over);
    this.#asked.clear();
  }

  throwIfOver(): void {
    if (this.#over !== undefined) throw this.#over;
  }

  /** @throws CallFailed when the call is over */
  ask(command: Command): Promise<Reply> {
    if (this.#over !== undefined) return Promise.reject(this.#over);
    return new Promise((resolve, reject) => {
      const deliver = (reply: Reply): void => {
        this.#asked.delete(asked);
        resolve(reply);
      };
      const asked = new Asked(this.#bytes, deliver, reject);
      this.#asked.add(asked);
      asked.cancelable = this.#dispatcher.request(command, asked);
    });
  }

  /** Asks for something that nobody waits for. */
  tell(command: Command): void {
    this.#dispatcher.request(command, { disconnected: false, deliver: () => {} });
  }
}

/** One request. Once it is given up, a mutex that it is given goes back. */
class Asked implements ReplySink {
  readonly bytes: number;
  readonly deliver: (reply: Reply) => void;
  readonly #reject: (reason: CallFailed) => void;
  cancelable: Cancelable | undefined;
  disconnected = false;

  constructor(bytes: number, deliver: (reply: Reply) => void, reject: (reason: CallFailed) => void) {
    this.bytes = bytes;
    this.deliver = deliver;
    this.#reject = reject;
  }

  giveUp(reason: CallFailed): void {
    this.disconnected = true;
    this.cancelable?.cancel();
    this.#reject(reason);
  }
}

interface FailedBody {
  readonly Failed?: readonly { readonly Field: string; readonly Key?: string }[];
}

/** Returns what has changed since it was read; undefined: nothing has. */
export function movedIn({ outcome, body }: Reply): ReadonlySet<string> | undefined {
  if (!isFailure(outcome)) return undefined;
  const { Failed = [] } = JSON.parse(body) as FailedBody;
  const moved = Failed.filter(({ Field }) => Field.startsWith('Check[') || Field === 'Same');
  return moved.length === 0 ? undefined : new Set(moved.flatMap(({ Key }) => Key ?? []));
}
